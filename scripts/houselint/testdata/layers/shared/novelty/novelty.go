package novelty // want layers
