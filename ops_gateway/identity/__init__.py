"""Who people are: passwords, sign-ins, tokens and the OAuth 2.0 / OpenID Connect server.

clients.py     the programs that may ask for tokens
passwords.py   what a password must be
store.py       what is kept, by role opstac_identity alone
tokens.py      access, refresh and id tokens
grants.py      the ways to a token (Authlib's, filled in)
server.py      the server: token, revocation, authorization and device endpoints
forms.py       tokens against forged forms
"""
