"""The providers' own clients (SDKs), in an environment of their own: what they send is what we have to send."""
