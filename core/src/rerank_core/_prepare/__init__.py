"""From a call to requests: arguments, documents, params and splitting."""
