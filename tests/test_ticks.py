"""Ticks: when one is due, and what is written and said of it."""

import json

import torch

from stylegan2_mspe import run_folder
from stylegan2_mspe.ticks import Progress, Ticks, status_line
from torch_utils import training_stats

CPU = torch.device('cpu')


def test_values_not_reported_stay_what_they_were(tmp_path):
    progress = Progress()
    ticks = Ticks(str(tmp_path), progress, device=CPU, say=lambda line: None,
                  latest={'Loss/old': dict(num=1, mean=7.0, std=0.0)})
    for number in range(3):
        progress.nimg += 8
        if number != 1:
            training_stats.report('Loss/new', torch.tensor([1., 3.]) + number)
        ticks.stop()
        ticks.close()
        ticks.begin()
    lines = [json.loads(line) for line in (tmp_path / run_folder.STATS).read_text().splitlines()]
    assert [line['Loss/new'] for line in lines] == [dict(num=2, mean=mean, std=1.) for mean in (2, 2, 4)]
    assert [line['Loss/old']['mean'] for line in lines] == [7, 7, 7]
    assert (progress.tick, progress.tick_nimg) == (3, 24)


def test_when_a_tick_is_due(tmp_path):
    progress = Progress(nimg=4)
    ticks = Ticks(str(tmp_path), progress, device=CPU, say=lambda line: None)
    assert ticks.due(4, done=False)                             # the first step
    progress.tick, progress.tick_nimg = 1, 4
    for nimg, expected in [(8, False), (4003, False), (4004, True), (9000, True)]:
        progress.nimg = nimg
        assert ticks.due(4, done=False) is expected
    progress.nimg = 8
    assert ticks.due(4, done=True)


def test_status_line():
    values = dict(tick=3, kimg=12.34, total_sec=3723, sec_per_tick=61.26, sec_per_kimg=15.318,
                  maintenance_sec=2.04, cpu_mem_gb=1.234, peak_gpu_mem_gb=0)
    expected = ('tick 3 kimg 12.3 time 1h 02m 03s sec/tick 61.3 sec/kimg 15.32 maintenance 2.0 cpumem 1.23 '
                'gpumem 0.00')
    assert ' '.join(status_line(values).split()) == expected
    assert ' '.join(status_line(dict(values, augment=0.05)).split()) == f'{expected} augment 0.050'
