from common.experiments.low_rank_hessian.run_selection import MU
from common.experiments.low_rank_hessian.saddle_walks import saddle_walks


def test_all_walks_begin_at_one_point_and_differ_in_the_method_alone():
    walks = saddle_walks(7)
    assert len({walk.name for walk in walks}) == 5
    for walk in walks:
        assert walk.name.startswith("saddle: ")
        assert (walk.group, walk.epochs, walk.batch_size) == ("saddle", 7, 2)
        assert walk.network.mu == MU
        assert len(walk.data.train) == walk.batch_size
    methods = [
        (repr(walk.estimator), type(walk.optimizer), walk.optimizer.get_config()["learning_rate"]) for walk in walks
    ]
    assert len(set(methods[2:])) == 3
