CONTEXT = {"n": 7}
EXPRESSIONS = ["{{ n + 1 }}"]
