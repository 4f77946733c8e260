"""`hat convert`: any HAT checkpoint to safetensors, its configuration written inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hatcli.cli.shared import options
from hatcli.cli.shared.console import Console, command, print_result
from hatcli.errors import UsageError


@command
def convert(
    source: Annotated[Path, typer.Argument(help="A .pth or .safetensors file with HAT weights.", metavar="IN")],
    target: Annotated[
        Path | None, typer.Argument(help="The .safetensors file to write; without it, beside IN.", metavar="OUT")
    ] = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Convert a HAT checkpoint to safetensors, its configuration written inside.

    Nothing in the file is run, every tensor is checked; of training's two sets of weights the averaged one is taken.
    """
    from hatcli.models import catalog, receipt
    from hatcli.network import checkpoint

    console = Console(quiet=quiet, verbose=verbose)
    output = target if target is not None else source.with_suffix(".safetensors")
    check_output(source, output, overwrite=overwrite)
    opened = checkpoint.read(source)
    sha256 = receipt.digest(source)
    metadata = {key: value for key, value in opened.metadata.items() if key != checkpoint.CONFIG_KEY}
    metadata["source_sha256"] = sha256
    known = next((entry for entry in catalog.entries() if entry.sha256 == sha256), None)
    if known is not None:
        metadata |= {"model": known.id, "licence": known.licence, "author": known.author}
        console.say(f"this is {known.id} of the catalogue, {known.licence}, by {known.author}")
    checkpoint.write(output, config=opened.config, state=opened.state, metadata=metadata)
    config = opened.config
    count = sum(value.numel() for value in opened.state.values() if value.is_floating_point())
    console.say(
        f"a HAT for x{config.upscale}: {count:,} parameters, {sum(config.depths)} blocks, {config.embed_dim} wide"
    )
    console.detail(config.to_json())
    print_result(str(output))


def check_output(source: Path, output: Path, *, overwrite: bool) -> None:
    """Everything cheap that can be wrong with the name to write.

    Raises:
        UsageError: it exists, is the input, or does not end in .safetensors.
    """
    if output.suffix.lower() != ".safetensors":
        raise UsageError(f"{output} does not end in .safetensors", hint=f"try {output.with_suffix('.safetensors')}")
    if output.exists() and source.exists() and output.samefile(source):
        raise UsageError(f"{source} would be written over itself", hint="name another file as the second argument")
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists already", hint="name another file, or add --overwrite")
