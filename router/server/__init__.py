"""The chatbot over HTTP, in OpenAI's form, for any number of tenants."""
