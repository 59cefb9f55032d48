"""The average equals its sum written out, and is nobody's to train."""

import torch
from torch import nn

from foresay.layers.moving_average import MovingAverage, follow


def test_the_average_is_the_weighted_sum_of_all_weights() -> None:
    torch.manual_seed(0)
    weights = [torch.randn(3, 2) for _ in range(20)]
    average = {"w": weights[0].clone()}
    for value in weights[1:]:
        follow(average, {"w": value}, 0.9)
    expected = 0.9**19 * weights[0] + sum((0.1 * 0.9 ** (19 - n) * weights[n] for n in range(1, 20)), torch.zeros(3, 2))
    torch.testing.assert_close(average["w"], expected)


def test_a_counter_is_copied() -> None:
    average = {"count": torch.tensor(3)}
    follow(average, {"count": torch.tensor(8)}, 0.999)
    assert average["count"] == 8


def test_a_teacher_follows_and_is_not_trained() -> None:
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    model = nn.ModuleDict({"student": student, "teacher": MovingAverage(student)})
    model.train()
    teacher = model["teacher"]
    before = teacher(torch.ones(2, 4))
    assert not before.requires_grad
    torch.testing.assert_close(before, teacher(torch.ones(2, 4)), rtol=0, atol=0)  # neither dropout nor the batch's statistics
    with torch.no_grad():
        student[0].weight.add_(1.0)
    assert isinstance(teacher, MovingAverage)
    old = teacher.module[0].weight.clone()
    teacher.follow(student, 0.75)
    torch.testing.assert_close(teacher.module[0].weight, old + 0.25)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_its_weights_are_in_the_state_of_the_whole() -> None:
    student = nn.Linear(2, 2)
    whole = nn.ModuleDict({"student": student, "teacher": MovingAverage(student)})
    assert {"student.weight", "teacher.module.weight"} <= whole.state_dict().keys()


def test_what_is_not_learnt_is_copied() -> None:
    average = {"weight": torch.zeros(2), "queue": torch.zeros(2)}
    follow(average, {"weight": torch.ones(2), "queue": torch.ones(2)}, 0.75, learnt={"weight"})
    assert average["weight"].tolist() == [0.25, 0.25]
    assert average["queue"].tolist() == [1.0, 1.0]
