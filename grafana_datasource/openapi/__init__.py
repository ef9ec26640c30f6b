"""The OpenAPI 3.1 document of every route, made of the routes themselves and of what each takes and answers."""
