"""From residuals to verdicts and episodes."""
