"""Module: what it finds, how it names it, and what it refuses."""

import copy
import gc
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import samara
from samara import nn
from samara.errors import ArgumentError, SamaraError, ShapeError


def names(module):
    return [name for name, _ in module.named_parameters()]


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.layers = [nn.Linear(4, 4), (nn.Linear(4, 4), {"deep": nn.Linear(4, 2)})]
        self.scale = nn.Parameter(samara.ones(2))
        self.extra = [nn.Parameter(samara.zeros(1))]
        self.words = ["a", "b"]
        self.register_buffer("steps", samara.zeros(1))
        self.register_buffer("cache", samara.zeros(1), persistent=False)

    def forward(self, x):
        x = self.layers[0](self.first(x))
        return self.layers[1][1]["deep"](self.layers[1][0](x)) * self.scale + self.extra[0]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.out = nn.Linear(3, 5, bias=False)
        self.out.weight = self.embedding.weight

    def forward(self, ids):
        return self.out(self.embedding(ids))


def test_parameters_are_found_in_attributes_lists_tuples_and_dicts():
    model = Nested()
    assert set(names(model)) == {
        "scale",
        "extra.0",
        "first.weight",
        "first.bias",
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.0.weight",
        "layers.1.0.bias",
        "layers.1.1.deep.weight",
        "layers.1.1.deep.bias",
    }
    assert [name for name, _ in model.named_modules()] == [
        "",
        "first",
        "layers.0",
        "layers.1.0",
        "layers.1.1.deep",
    ]
    assert [name for name, _ in model.named_children()][:2] == ["first", "layers.0"]


def test_every_parameter_found_gets_a_gradient():
    model = Nested()
    model(samara.ones(5, 3)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_appending_to_a_list_after_the_first_call():
    model = Nested()
    model(samara.ones(1, 3))
    model.layers.append(nn.Linear(7, 5))
    assert "layers.2.weight" in names(model)
    assert model.layers[2](samara.ones(1, 7)).shape == (1, 5)


def test_own_parameters_come_before_those_of_children_in_order_of_definition():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.child = nn.LayerNorm(2)
            self.b = nn.Parameter(samara.zeros(1))
            self.a = nn.Parameter(samara.zeros(1))

        def forward(self, x):
            return self.child(x) * self.a + self.b

    expected = ["b", "a", "child.weight", "child.bias"]
    block = Block()
    assert names(block) == expected
    block(samara.ones(1, 2))
    block.b = nn.Parameter(samara.ones(1))
    assert names(block) == expected
    assert list(block.state_dict()) == expected


def test_state_dict_has_persistent_buffers_only_and_shares_memory():
    model = Nested()
    state = model.state_dict()
    assert "steps" in state
    assert "cache" not in state
    assert [name for name, _ in model.named_buffers()] == ["steps", "cache"]
    with samara.no_grad():
        model.scale.copy_(samara.full((2,), 7.0))
    assert state["scale"].tolist() == [7.0, 7.0]


def test_state_dict_round_trip():
    samara.seed(1)
    a = Nested()
    samara.seed(2)
    b = Nested()
    x = samara.ones(3, 3)
    assert not np.array_equal(a(x).detach().numpy(), b(x).detach().numpy())
    report = b.load_state_dict(a.state_dict())
    assert report == ([], [])
    np.testing.assert_array_equal(a(x).detach().numpy(), b(x).detach().numpy())


def test_load_state_dict_takes_numpy_arrays_and_casts():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1.5, -2.0]]), "bias": np.array([0.25])})
    assert layer.weight.dtype == samara.float32
    assert layer(samara.ones(1, 2)).item() == -0.25


def test_strict_load_lists_everything_in_one_error_and_changes_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    state = {name: value.numpy() + 1 for name, value in model.state_dict().items()}
    del state["0.bias"]
    del state["1.bias"]
    state["2.weight"] = np.zeros((1, 1), np.float32)
    state["1.weight"] = np.zeros((5, 3), np.float32)
    with pytest.raises(SamaraError) as caught:
        model.load_state_dict(state)
    text = str(caught.value)
    for part in ("0.bias", "1.bias", "2.weight", "1.weight", "(5, 3)", "(1, 3)"):
        assert part in text
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


def test_non_strict_load_reports_but_nothing_in_common_is_an_error():
    model = nn.Linear(2, 1)
    report = model.load_state_dict({"weight": np.ones((1, 2)), "other": np.ones(1)}, strict=False)
    assert report.missing_keys == ["bias"]
    assert report.unexpected_keys == ["other"]
    with pytest.raises(ArgumentError, match=r"weight.*bias|bias.*weight"):
        model.load_state_dict({"other": np.ones(1)}, strict=False)
    with pytest.raises(ShapeError, match=r"\(3, 3\).*\(1, 2\)"):
        model.load_state_dict({"weight": np.ones((3, 3)), "bias": np.ones(1)}, strict=False)


def test_a_module_used_twice_counts_once():
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    assert names(model) == ["0.weight", "0.bias"]
    assert sum(p.numel() for p in model.parameters()) == 6
    # As in PyTorch, the state holds it under both names.
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_tied_parameters_stay_tied_through_first_use_copy_and_pickle():
    model = Tied()
    model(samara.tensor([1]))
    assert model.out.weight is model.embedding.weight
    assert names(model) == ["embedding.weight"]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.out.weight is other.embedding.weight
        np.testing.assert_array_equal(
            other.out.weight.detach().numpy(), model.out.weight.detach().numpy()
        )


def test_attributes_may_be_set_before_super_init():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)
            super().__init__()

        def forward(self, x):
            return self.layer(x)

    model = Early()
    assert names(model) == ["layer.weight", "layer.bias"]
    assert model(samara.ones(1, 2)).shape == (1, 2)


def test_a_module_without_super_init_works():
    class Bare(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return self.layer(x)

    assert Bare()(samara.ones(1, 2)).shape == (1, 2)


def test_plain_tensor_over_a_parameter_is_refused():
    layer = nn.Linear(2, 2)
    with pytest.raises(ArgumentError, match=r"Linear\.weight.*nn\.Parameter"):
        layer.weight = samara.zeros(2, 2)
    layer.bias = None
    assert layer(samara.ones(1, 2)).shape == (1, 2)
    assert names(layer) == ["weight"]


@pytest.mark.parametrize("name", ["", "a.b", "forward", "_entries", "training", "state_dict"])
def test_reserved_and_impossible_names_are_refused(name):
    with pytest.raises(ArgumentError, match="name"):
        nn.Linear(1, 1).register_parameter(name, nn.Parameter(samara.zeros(1)))


def test_unknown_attribute_offers_the_closest():
    with pytest.raises(AttributeError, match="Did you mean 'out_features'"):
        _ = nn.Linear(1, 1).out_featuers


def test_get_submodule_parameter_and_buffer():
    model = Nested()
    assert model.get_submodule("layers.1.1.deep") is model.layers[1][1]["deep"]
    assert model.get_submodule("") is model
    assert model.get_parameter("layers.0.weight") is model.layers[0].weight
    assert model.get_buffer("steps") is model.steps
    with pytest.raises(AttributeError, match=r"layers\.0"):
        model.get_submodule("layer.0")


def test_train_eval_and_apply_reach_everything():
    model = Nested()
    model.eval()
    assert not any(module.training for module in model.modules())
    model.train()
    assert all(module.training for module in model.modules())
    seen = []
    model.apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear"] * 4 + ["Nested"]
    with pytest.raises(ArgumentError, match="mode"):
        model.train("yes")


def test_requires_grad_and_zero_grad():
    model = Nested()
    model.requires_grad_(False)
    assert not any(p.requires_grad for p in model.parameters())
    model.requires_grad_()
    model(samara.ones(1, 3)).sum().backward()
    model.zero_grad(set_to_none=False)
    assert all(float(p.grad.abs().sum().item()) == 0 for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_casting_keeps_parameter_identity_and_integer_buffers():
    model = Nested()
    model.register_buffer("count", samara.tensor([1, 2]))
    before = list(model.parameters())
    model.double()
    assert [id(p) for p in before] == [id(p) for p in model.parameters()]
    assert all(p.dtype == samara.float64 for p in model.parameters())
    assert model.steps.dtype == samara.float64
    assert model.count.dtype == samara.tensor([1]).dtype
    assert model(samara.ones(1, 3, dtype=samara.float64)).dtype == samara.float64
    assert model.half().first.weight.dtype == samara.float16
    assert model.to(samara.float32).first.weight.dtype == samara.float32
    with pytest.raises(ArgumentError, match="floating"):
        model.to(samara.int64)


def test_a_buffer_stays_a_buffer_when_it_is_replaced():
    model = Nested()
    model.steps = samara.ones(1)
    assert model.state_dict()["steps"].tolist() == [1.0]
    model.fresh = nn.Buffer(samara.ones(1))
    assert "fresh" in model.state_dict()
    model.other = nn.Buffer(samara.ones(1), persistent=False)
    assert "other" not in model.state_dict()
    assert "other" in dict(model.named_buffers())


def test_forward_hooks_see_and_replace():
    layer = nn.Linear(2, 2)
    seen = []
    first = layer.register_forward_pre_hook(lambda m, args: (args[0] * 0,))
    second = layer.register_forward_hook(lambda m, args, out: seen.append(out.shape))
    third = layer.register_forward_hook(lambda m, args, out: out + 1)
    out = layer(samara.ones(3, 2))
    np.testing.assert_allclose(
        out.detach().numpy(), np.broadcast_to(layer.bias.detach().numpy() + 1, (3, 2))
    )
    assert seen == [(3, 2)]
    for handle in (first, second, third):
        handle.remove()
    plain = layer(samara.zeros(3, 2))
    np.testing.assert_allclose(
        plain.detach().numpy(), np.broadcast_to(layer.bias.detach().numpy(), (3, 2))
    )
    with layer.register_forward_hook(lambda m, args, out: out * 0):
        assert float(layer(samara.ones(1, 2)).abs().sum().item()) == 0
    assert seen == [(3, 2)]


def test_hook_order_and_keywords():
    class Scaled(nn.Module):
        def forward(self, x, scale=1.0):
            return x * scale

    module = Scaled()
    order = []
    module.register_forward_hook(lambda m, a, o: order.append("a"))
    module.register_forward_hook(lambda m, a, o: order.append("b"), prepend=True)
    module.register_forward_pre_hook(lambda m, a, k: (a, {"scale": 3.0}), with_kwargs=True)
    assert module(samara.ones(1), scale=2.0).item() == 3.0
    assert order == ["b", "a"]


def test_always_call_hooks_run_on_failure():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("broken")

    calls = []
    module = Broken()
    module.register_forward_hook(lambda m, a, o: calls.append("plain"))
    module.register_forward_hook(lambda m, a, o: calls.append("always"), always_call=True)
    with pytest.raises(RuntimeError, match="broken"):
        module(samara.ones(1))
    assert calls == ["always"]


def test_shape_error_names_the_path_once():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(5, 1)))
    with pytest.raises(ShapeError) as caught:
        model(samara.ones(2, 3))
    text = str(caught.value)
    assert text.startswith("model.1.1 (Linear): ")
    assert text.count("(Linear)") == 1
    assert "4" in text
    assert "5" in text

    class Wrapper(nn.Module):
        def __init__(self):
            super().__init__()
            self.nets = [nn.ReLU(), model]

        def forward(self, x):
            return self.nets[1](x)

    with pytest.raises(ShapeError, match=r"^model\.nets\.1\.1\.1 \(Linear\): "):
        Wrapper()(samara.ones(2, 3))
    with pytest.raises(ShapeError, match=r"^model \(Linear\): "):
        nn.Linear(3, 1)(samara.ones(2, 4))


def test_errors_that_are_not_samaras_pass_unchanged():
    class Broken(nn.Module):
        def forward(self, x):
            raise KeyError("mine")

    with pytest.raises(KeyError, match=r"^'mine'$"):
        nn.Sequential(Broken())(samara.ones(1))


def test_forward_missing_says_so():
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(samara.ones(1))


def test_deepcopy_is_independent_and_equal_even_before_the_first_use():
    model = Nested()
    twin = copy.deepcopy(model)
    x = samara.ones(2, 3)
    np.testing.assert_array_equal(model(x).detach().numpy(), twin(x).detach().numpy())
    with samara.no_grad():
        twin.scale.copy_(samara.zeros(2))
    assert model.scale.tolist() == [1.0, 1.0]


def test_pickle_round_trip():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).eval()
    twin = pickle.loads(pickle.dumps(model))
    x = samara.ones(4, 2)
    np.testing.assert_array_equal(model(x).detach().numpy(), twin(x).detach().numpy())
    assert not twin.training
    assert names(twin) == names(model)


def test_repr_is_a_tree_as_in_pytorch():
    model = nn.Sequential(
        OrderedDict(features=nn.Sequential(nn.Linear(4, 8), nn.ReLU()), head=nn.Linear(8, 2))
    )
    assert repr(model) == (
        "Sequential(\n"
        "  (features): Sequential(\n"
        "    (0): Linear(in_features=4, out_features=8, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (head): Linear(in_features=8, out_features=2, bias=True)\n"
        ")"
    )


def test_reference_cycles_do_not_trap_the_walk():
    class Child(nn.Module):
        def __init__(self, parent):
            super().__init__()
            self.owner = [parent]
            self.layer = nn.Linear(1, 1)

    class Parent(nn.Module):
        def __init__(self):
            super().__init__()
            self.child = Child(self)
            self.loop = [self.child]
            self.loop.append(self.loop)

    assert names(Parent()) == ["child.layer.weight", "child.layer.bias"]


def test_modules_are_freed_with_their_last_reference():
    import weakref

    gc.disable()
    try:
        model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        model(samara.ones(1, 2))
        watcher = weakref.ref(model)
        del model
        assert watcher() is None
    finally:
        gc.enable()


def test_integers_cannot_be_parameters_that_train():
    with pytest.raises(SamaraError, match="float"):
        nn.Parameter(samara.tensor([1, 2]))
    assert not nn.Parameter(samara.tensor([1, 2]), requires_grad=False).requires_grad


def test_dotted_keys_of_a_dict_are_refused_where_they_would_become_names():
    model = nn.Module()
    model.table = {"a.b": nn.Linear(1, 1)}
    with pytest.raises(ArgumentError, match=r"a\.b"):
        list(model.named_modules())
    model.table = {"a.b": "text"}
    assert names(model) == []


def test_backward_hooks_see_and_replace_gradients():
    weight = np.array([[1.0, 2.0], [3.0, 4.0]])
    layer = nn.Linear(2, 2, bias=False, dtype=samara.float64)
    layer.load_state_dict({"weight": weight})
    seen = []
    layer.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 2,))
    handle = layer.register_full_backward_hook(
        lambda m, grad_input, grad_output: seen.append((grad_input, grad_output))
    )
    other = layer.register_full_backward_hook(lambda m, grad_input, _: (grad_input[0] * 10,))
    x = samara.tensor([[1.0, -1.0]], dtype=samara.float64, requires_grad=True)
    layer(x).sum().backward()
    ((grad_input,), (grad_output,)) = seen[0]
    np.testing.assert_array_equal(grad_output.numpy(), [[2.0, 2.0]])
    np.testing.assert_array_equal(grad_input.numpy(), 2 * weight.sum(axis=0)[None])
    np.testing.assert_array_equal(x.grad.numpy(), 20 * weight.sum(axis=0)[None])
    np.testing.assert_array_equal(layer.weight.grad.numpy(), [[2.0, -2.0], [2.0, -2.0]])
    other.remove()
    layer(x.detach()).sum().backward()  # no input in the graph: the hook still sees the output's
    assert seen[1][0] == (None,)
    handle.remove()
    layer(x).sum().backward()
    assert len(seen) == 2


def test_backward_hooks_of_several_inputs_and_outputs():
    class Two(nn.Module):
        def forward(self, a, b, factor):
            return a * b, a * factor

    module = Two()
    seen = []
    module.register_full_backward_hook(lambda m, into, out: seen.append((into, out)))
    a, b = (samara.tensor([v], requires_grad=True) for v in (2.0, 3.0))
    product, scaled = module(a, b, 5.0)
    (product + scaled).sum().backward()
    into, out = seen[0]
    assert [g if g is None else g.item() for g in into] == [8.0, 2.0, None]
    assert [g.item() for g in out] == [1.0, 1.0]


def test_sub_modules_are_exchanged_by_path():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    new = nn.Tanh()
    model.set_submodule("1.0", new)
    assert model[1][0] is new
    with pytest.raises(ArgumentError, match="Expected a Module"):
        model.set_submodule("1.0", samara.tanh)
    with pytest.raises(AttributeError, match="nothing at '2'"):
        model.set_submodule("2", new)


def test_type_to_empty_and_share_memory():
    model = nn.BatchNorm1d(2)
    assert model.share_memory() is model
    assert model.type(samara.float64).weight.dtype == samara.float64
    assert model.num_batches_tracked.dtype == samara.float64
    assert model.to_empty(device="cpu").weight.shape == (2,)
