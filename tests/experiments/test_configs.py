"""Every configuration composes and builds; what can't be used is refused in words."""

import re

import pytest
from study_helpers import TINY, call, make_design, sweep

from experiments.config import compose as cfg
from experiments.config import conf_folder
from experiments.config.build import build_design
from experiments.errors import InputError
from experiments.run import ACTIONS
from experiments.store.fingerprint import Fingerprint

EXPERIMENTS = sorted(conf_folder.list_options("experiment"))


@pytest.mark.parametrize("experiment", ["default", *EXPERIMENTS])
def test_every_experiment_composes_and_builds(experiment):
    chosen = [] if experiment == "default" else [f"experiment={experiment}"]
    config = cfg.compose(chosen)
    design = build_design(config)
    assert design.cells()
    assert config["question"].endswith("?")
    assert config["study"] == experiment


@pytest.mark.parametrize(
    "choice",
    [
        f"{group}={option}"
        for group in ("dgp", "grid", "estimator", "compute")
        for option in conf_folder.list_options(group)
    ],
)
def test_every_option_composes_and_builds(choice):
    group, _, option = choice.partition("=")
    sizes = {"points": 3, "product": 9, "product_wide": 9}
    extra = [f"n_supp=[{sizes[option]}]"] if option in sizes else []
    config = cfg.compose([choice, *extra])
    build_design(config)
    cfg.instantiate(config, "compute")
    if group != "compute":
        assert list(config[group]) == [option]
        assert config[group][option]["label"]
    assert conf_folder.list_options(group)[option]


def test_default_study_is_the_one_announced():
    config = cfg.compose([])
    assert config["sample_size"] == [500, 1000, 2000]
    assert config["n_supp"] == [25, 50, 100]
    assert config["n_replications"] == 200
    assert list(config["dgp"]) == ["linear_factor_discrete"]


def test_one_value_stands_for_a_list():
    config = cfg.compose(["sample_size=500", "n_supp=10", "dgp=linear_factor_normal"])
    assert config["sample_size"] == [500]
    assert config["n_supp"] == [10]
    assert list(config["dgp"]) == ["linear_factor_normal"]


def test_sizes_ascend_in_whatever_order_they_are_given():
    design = build_design(cfg.compose(["sample_size=[900,30,200]", "n_supp=[60,20]"]))
    assert design.sample_size == [30, 200, 900]
    assert design.n_supp == [20, 60]


def test_values_inside_an_option_can_be_changed():
    config = cfg.compose(["dgp.linear_factor_discrete.truth.coef=[1.2,0.4]"])
    truth = make_design("dgp.linear_factor_discrete.truth.coef=[1.2,0.4]").truth
    assert config["dgp"]["linear_factor_discrete"]["truth"]["coef"] == [1.2, 0.4]
    names, values = truth("linear_factor_discrete")
    assert names[:2] == ["coef[0]", "coef[1]"]
    assert values[:2].tolist() == [1.2, 0.4]


BAD_INPUT = [
    ("n_replication=3", "n_replication: no such setting. Did you mean n_replications?"),
    ("nope=3", "nope: no such setting"),
    ("+nope=3", "nope: no such setting"),
    ("~seed", "~seed: a study needs"),
    ("hydra.job.name=x", "not used here"),
    ("grid.uniform.lo=3", "Did you mean grid.uniform.low?"),
    ("dgp.linear_factor_discrete.mixin.supp=[1]", "Did you mean dgp.linear_factor"),
    ("dgp=linear_factor_norml", "Did you mean linear_factor_normal?"),
    ("dgp=[linear_factor_discrete,no]", "no such dgp. Choices: duration_discrete"),
    ("grid=[uniform,uniform]", "twice"),
    ("experiment=qick", "Did you mean quick?"),
    ("experiment=[quick,mixing]", "choose one experiment, not a list"),
    ("compute=dask", "Did you mean dask_slurm? Choices: dask_address"),
    ("compute=dask_local compute.n_workers=0", "n_workers=0: give 1 or more"),
    ("quick", "quick: write experiment=quick"),
    ("linear_factor_normal", "write dgp=linear_factor_normal"),
    ("fast", "fast: not of the form NAME=VALUE, without spaces"),
    ("--experiment=quick", "no such option; write experiment=quick"),
    ("n_replications = 5", "n_replications: not of the form NAME=VALUE, without"),
    ("n_replications=100000000000", "give 1 or more, up to ten million"),
    ("sample_size=[500", "can't be read as a value; give whole numbers, such as [5"),
    ("sample_size=[10,]", "can't be read as a value; give whole numbers, such as [5"),
    ("grid.uniform.low=ä", "grid.uniform.low=ä: ä can't be read as a value; put it"),
    ("experiment=quick,mixing", "experiment=quick,mixing: choose one experiment."),
    ("target.coverage_mcse=0,005", "0,005: give a number, such as 0.5."),
    ("study=null", "study=null: give a text."),
    ("compute.n_workers=two", "See the files in conf/compute/."),
    ("sample_size=500,1000", "write a list, sample_size=[500,1000]"),
    ("sample_size=range(1,4)", "write a list, sample_size=[1,2,3]"),
    ("sample_size=[99999999999]", "give numbers up to 100,000,000"),
    ("sample_size=[100.5]", "give whole numbers"),
    ("sample_size=10%", "give whole numbers"),
    ("n_replications=1e3", "give whole numbers"),
    ("n_replications=null", "give a whole number"),
    ("größe=3", "größe: no such setting"),
    ("compute.n_workers=two", "two"),
    ("compute.n_workers=1.5", "give whole numbers"),
    ("level=2", "level=2.0: give a share"),
    ("levels=[[]]", "levels=[[]]: give shares, such as [0.9,0.99]."),
    ("levels=[a]", "levels=[a]: give shares"),
    ("levels=0.9", "levels=0.9: give shares"),
    ("levels=[1]", "levels=[1.0]: give shares"),
    ("n_replications=0", "n_replications=0: give 1 or more"),
    ("n_replications=many", "n_replications=many: give a whole number"),
    ("n_replications=2.5", "give whole numbers"),
    ("block_size=0", "block_size=0: give 1 or more"),
    ("block_size=-1", "block_size=-1: give 1 or more"),
    ("seed=-1", "seed=-1: give a number from 0"),
    ("level=95", "level=95.0: give a share"),
    ("level=high", "level=high: give a number"),
    ("overwrite=maybe", "give true or false"),
    ("exclusion_rule=none", "choose per_estimator or all_or_none"),
    ("streams=comon", "choose common or independent"),
    ("study=../up", "names a folder"),
    ("sample_size=[]", "sample_size=[] leaves nothing"),
    ("sample_size=[500,500]", "twice"),
    ("sample_size=[20,x]", "give whole numbers"),
    ("n_supp=0", "every number has to be 1 or more"),
    ("grid=[]", "grid=[] leaves nothing to run"),
    ("grid.uniform.low=7", "low=7, high=6.0 give no increasing grid"),
    ("grid.uniform.low=6", "choose finite numbers with low < high"),
    ("grid.uniform.low=abc", "See conf/grid/uniform.yaml"),
    ("grid=points grid.points.points=[]", "points=[] is an empty grid"),
    ("grid=points grid.points.points=[2,1]", "is unsorted: write [1, 2]"),
    ("grid=points grid.points.points=[1,1]", "holds a point twice"),
    ("grid=points n_supp=[4]", "the grid has 3 points, n_supp asks for 4"),
    ("grid=product n_supp=[50]", "take 49 or 64, or give sizes"),
    ("grid=product grid.product.sizes=[5,6] n_supp=[25]", "set n_supp=[30]"),
    ("grid=product grid.product.low=[-4]", "give lists of one length"),
    ("grid=product grid.product.low=[4,4] n_supp=[4]", "no increasing grid"),
    ("grid=product n_supp=[4]", "Choose another grid, such as uniform"),
    ("dgp=panel_logit_slopes", "Choose another grid, such as product"),
    ("grid.uniform.low=90 grid.uniform.high=99", "have zero likelihood"),
    ("dgp.linear_factor_discrete.truth.coef=[nan,0.3]", "hold NaN or infinite"),
    ("dgp.linear_factor_discrete.truth.coef=[1.5]", "T - 1 loadings"),
    ("dgp.linear_factor_discrete.truth.coef=abc", "See conf/dgp/linear_factor"),
    ("dgp.linear_factor_discrete.mixing.weights=[1,1,1]", "add up to 3"),
    ("shard=0/4", "shard=0/4: give part and number of parts"),
    ("shard=5/4", "from 1/16 to 16/16"),
    ("shard=2", "from 1/16 to 16/16"),
    ("shard=1/2 target.coverage_mcse=0.01", "needs the results of all shards"),
    ("target.coverage_mcse=5", "target.coverage_mcse=5.0: give a small share"),
    ("target.coverage=0.01", "Did you mean target.coverage_mcse?"),
    ("target.rmse_rel_mcse=0.1 target.max_replications=3", "n_replications=7 or more"),
    ("max_failure_share=2", "give a share from 0 to 1"),
    ("compute.n_workers=0", "n_workers=0: give 1 or more"),
]


@pytest.mark.parametrize(("given", "message"), BAD_INPUT)
def test_bad_input_is_refused_in_two_lines_and_nothing_written(
    given, message, tmp_path
):
    code, text = sweep(tmp_path, *given.split())
    assert code == 2
    assert message in text
    assert text.startswith("error: ")
    assert len(text.splitlines()) <= 2
    assert "Traceback" not in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["swep"], "swep: no such action. Did you mean sweep?"),
        (["sweep", "--force"], "--force: no such option"),
        (["sweep", "seed=1", "seed=2"], "seed: given twice; drop one."),
        (["status"], "name one study"),
        (["status", "nothing"], "nothing: no study in"),
        (["status", "nothing", "seed=1"], "seed: no such setting here"),
        (["report"], "report: name one study"),
        (["report", "nothing"], "nothing: no study in"),
        (["rerun", "nothing"], "name a study and a replication"),
        (["rerun", "nothing", "replication=1"], "nothing: no study in"),
        (["rerun", "two", "names", "replication=1"], "name a study and a replication"),
        (["rerun", "nothing", "replicaton=1"], "Did you mean replication?"),
    ],
)
def test_bad_actions_are_refused(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text = call(*arguments)
    assert code == 2
    assert message in text
    assert len(text.splitlines()) <= 2


def test_traceback_is_shown_when_asked_for():
    code, text = call("sweep", "nope=3", "--traceback")
    assert code == 2
    assert "Traceback" in text


@pytest.mark.parametrize("arguments", [[], ["--help"], ["sweep", "--help"]])
def test_help_lists_actions_experiments_and_options(arguments):
    code, text = call(*arguments)
    assert code == 0
    for name, comment in conf_folder.list_options("experiment").items():
        assert re.search(rf"{name} +{re.escape(comment)}", text)
    for group in cfg.GROUPS:
        for option in conf_folder.list_options(group):
            assert option in text
    for action in ACTIONS:
        assert f"  {action} " in text


def test_tiny_overrides_compose():
    assert cfg.compose(TINY)["study"] == "tiny"


def test_symbols_are_of_parameters_and_move_no_number():
    plain = cfg.compose(
        ["dgp=linear_factor_discrete", "~dgp.linear_factor_discrete.symbol"]
    )
    config = cfg.compose(["dgp=linear_factor_discrete"])
    assert config["dgp"]["linear_factor_discrete"]["symbol"]["coef"][0] == r"\lambda_2"
    assert Fingerprint.from_config(plain) == Fingerprint.from_config(config)
    process = build_design(config).processes["linear_factor_discrete"]
    assert dict(process.symbol)["log_std_e[2]"] == r"\log\sigma_3"
    config["dgp"]["linear_factor_discrete"]["symbol"] = {"gamma": "g"}
    with pytest.raises(InputError, match=r"gamma is no parameter; they are coef\[0\]"):
        build_design(config)


def test_an_experiment_chooses_its_tables():
    assert cfg.compose([])["table"] == {}
    config = cfg.compose(["experiment=paper"])
    tables = ["by_estimator", "by_size", "by_grid", "estimands"]
    assert list(config["table"]) == tables
    for option in conf_folder.list_options("table"):
        assert list(cfg.compose([f"table={option}"])["table"]) == [option]
    assert cfg.compose(["table=[by_size,by_grid]"])["table"]["by_size"]["errors"]
    code, text = call("sweep", "table=by_siz")
    assert code == 2
    assert "no such table. Did you mean by_size?" in text
