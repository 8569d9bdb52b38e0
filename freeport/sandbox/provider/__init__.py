"""A plain card provider for demo and tests: `python -m freeport.sandbox.provider`.

It authorises, asks for 3-D Secure, captures, voids and refunds, and keeps a durable book of what it did, so that a
double charge would show. What a buyer's card does is chosen by its token; `GET /tokens` tells the same list:

    tok_ok                    pays; its fingerprint is fpr_ok
    tok_declined              declined: card_declined
    tok_insufficient_funds    declined: insufficient_funds
    tok_3ds                   the buyer must act: `action_url` (GET for a person, POST ?result=complete|fail)
    tok_timeout_after_charge  charges, and never answers in time
    tok_capture_timeout       captures, and never answers in time
    tok_void_timeout          voids, and never answers in time
    tok_refund_timeout        refunds, and never answers in time
    tok_slow                  answers late, but answers
    tok_webhook_twice         every webhook about it is heard twice
    tok_webhook_first         every webhook about it is heard before the answer
    tok_flaky                 500 once for each key, without charging
    tok_expiring              its authorisation expires soon
    tok_renewal_declined      as tok_expiring, and a second authorisation for the same order is declined
    tok_other_card            the card is another one than the storefront announced
    tok_wrong_amount          charges one minor unit more than was asked
    tok_refund_fails          refunds are refused after a while
    tok_refund_pending        refunds succeed after a while
    tok_refund_bounces        refunds succeed and come back after a while

Each takes a suffix, so that tests can make many cards: `tok_ok_xyz` pays with fingerprint `fpr_xyz`.
"""
