"""The shapes of all answers. Tests hold every answer to them, key by key."""
