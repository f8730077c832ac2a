import json

import numpy as np

from common.training import checkpoint


def test_a_checkpoint_keeps_arrays_of_texts_and_of_numbers():
    record = {"names": np.array(["Likelihood()", "σ"]), "values": np.array([0.1, 2.0], np.float32)}
    again = checkpoint._read(json.dumps(record, default=checkpoint._array_as_lists))
    for name, array in record.items():
        assert again[name].dtype == array.dtype
        assert again[name].tolist() == array.tolist()
