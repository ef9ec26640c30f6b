"""Who may come in, and by which certificate we are known: tokens and TLS, read again when their files change."""
