"""One folder over many machines: Ray carries pictures to workers, the folder's journal alone says what is done."""
