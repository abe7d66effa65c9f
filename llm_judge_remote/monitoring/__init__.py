"""What servers tell of their work: `status` looks, `figures` reads `/metrics`, `exposition` its format."""
