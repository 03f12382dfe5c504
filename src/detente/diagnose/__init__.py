"""Where languages conflict, and which parameters belong to whom (method 7).

Every diagnosis takes a loss as a pure function of named parameters and a batch, so it works on any module:

    loss = lambda parameters, batch: functional_call(model, parameters, kwargs=batch).loss
"""
