"""The secrets that sign webhook messages: each tenant's own, so that none can forge another's messages."""

import base64
import hmac

PREFIX_OF_SECRETS = "whsec_"


def secret_of(tenant: str, secret: str) -> str:
    """The secret of a tenant, by HMAC-SHA256 from the service's, which is that of the default tenant itself.

    Args:
        tenant: its name; empty for the default one.
        secret: ``whsec_`` and base64.
    """
    if not tenant:
        return secret
    key = base64.b64decode(secret.removeprefix(PREFIX_OF_SECRETS))
    derived = hmac.digest(key, f"webhooks of tenant {tenant}".encode(), "sha256")
    return PREFIX_OF_SECRETS + base64.b64encode(derived).decode()
