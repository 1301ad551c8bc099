"""The models in JavaScript, to answer on a page, and what is needed to send them there."""
