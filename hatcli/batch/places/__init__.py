"""Where pictures come from and results go to besides folders: object stores and web servers."""
