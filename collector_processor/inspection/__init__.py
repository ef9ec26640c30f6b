"""What a store says, for people: models, episodes, bounds that are near, other forecasts and settings tried on it."""
