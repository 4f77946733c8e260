"""What commands that look after models take: names of the catalogue and one factor of theirs."""

from __future__ import annotations

from typing import Annotated

import typer

from hatcli.cli.shared.completion import catalog_names

Names = Annotated[
    list[str] | None,
    typer.Argument(help="Models, such as hat, real-hat or hat-s-x2.", metavar="NAME", autocompletion=catalog_names),
]
OneScale = Annotated[
    int | None,
    typer.Option("-s", "--scale", help="Only the weights for this factor.", metavar="2|3|4", show_default=False),
]
