import hashlib
import stat
from dataclasses import replace

import pytest
import yaml
from reviewed_run import RUN_ID, make_recipe, make_run

from sol.approval import ApprovalError, decide
from sol.commands.approve import VerdictOptions, record_verdict
from sol.errors import RecipeError, SolError
from sol.recipe import Approval, dump_recipe, load_recipe


@pytest.fixture(scope="module")
def made_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), n_pairs=1)


@pytest.fixture
def run(made_run, tmp_path):
    folder = tmp_path / RUN_ID
    folder.mkdir()
    for name in ("recipe.yaml", "report.json"):
        (folder / name).write_bytes((made_run / name).read_bytes())
    return folder


def say(status, recipe, **changes):
    settings = {
        "recipe": recipe,
        "reviewer": "Ann Example",
        "note": None,
        "report": None,
        "without_report": False,
        "again": False,
    }
    return record_verdict(status, VerdictOptions(**(settings | changes)))


@pytest.mark.parametrize("is_folder", [True, False])
def test_an_approval_names_reviewer_time_and_report(run, is_folder):
    say("approved", run if is_folder else run / "recipe.yaml", note=" looks the same ")
    approval = load_recipe(run / "recipe.yaml").approval
    digest = hashlib.sha256((run / "report.json").read_bytes()).hexdigest()
    assert approval.status == "approved"
    assert approval.reviewer == "Ann Example"
    assert approval.note == "looks the same"
    assert approval.report == f"sha256:{digest}"
    assert approval.when.endswith("+00:00")
    assert approval.review is None


def test_only_the_approval_changes(run):
    before = load_recipe(run / "recipe.yaml")
    after = say("approved", run)
    assert replace(after, approval=before.approval) == before
    assert load_recipe(run / "recipe.yaml").digest == before.digest


def test_a_rejection_has_its_reason(run):
    assert say("rejected", run, note="hands melt").approval.note == "hands melt"


@pytest.mark.parametrize("note", [None, "", "  "])
def test_a_rejection_without_a_reason_is_refused(run, note):
    with pytest.raises(ApprovalError, match="needs a note"):
        say("rejected", run, note=note)
    assert load_recipe(run / "recipe.yaml").approval.status == "unreviewed"


@pytest.mark.parametrize("first", ["approved", "rejected"])
@pytest.mark.parametrize("second", ["approved", "rejected"])
def test_a_second_verdict_needs_again(run, first, second):
    say(first, run, note="one")
    with pytest.raises(ApprovalError, match=rf"is {first} already, by Ann.*'one'.*--again"):
        say(second, run, note="two", reviewer="Bob")
    assert load_recipe(run / "recipe.yaml").approval.note == "one"
    assert say(second, run, note="two", again=True).approval.status == second


def test_a_changed_recipe_is_not_approved(run):
    path = run / "recipe.yaml"
    data = yaml.safe_load(path.read_text())
    data["stack"][0]["config"]["skip"] = "3-9"
    path.write_text(yaml.safe_dump(data))
    changed = path.read_bytes()
    with pytest.raises(RecipeError, match="digest does not match"):
        say("approved", run)
    assert path.read_bytes() == changed


def test_a_missing_report_is_refused_and_may_be_waived(run):
    (run / "report.json").unlink()
    with pytest.raises(ApprovalError, match="--without-report"):
        say("approved", run)
    assert say("approved", run, without_report=True).approval.report is None
    assert yaml.safe_load((run / "recipe.yaml").read_text())["approval"]["report"] is None


def test_a_recipe_elsewhere_takes_its_report_by_name(run, tmp_path):
    elsewhere = tmp_path / "shipped.yaml"
    elsewhere.write_bytes((run / "recipe.yaml").read_bytes())
    with pytest.raises(ApprovalError, match="--report FILE"):
        say("approved", elsewhere)
    assert say("approved", elsewhere, report=run / "report.json").approval.report


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"run_id": "another"}', "is the report of run 'another'"),
        ("[]", "is the report of run None"),
        ("not json", "is not a report"),
        (b"\xff\xfe", "is not a report"),
    ],
)
def test_the_report_of_another_run_is_refused(run, text, message):
    content = text if isinstance(text, bytes) else text.encode()
    (run / "report.json").write_bytes(content)
    with pytest.raises(ApprovalError, match=message):
        say("approved", run)


def test_report_and_without_report_exclude_each_other(run):
    with pytest.raises(ApprovalError, match="exclude each other"):
        say("approved", run, report=run / "report.json", without_report=True)


@pytest.mark.parametrize("name", [" ", "a\nb", "x" * 101])
def test_a_name_that_is_none_is_refused(run, name):
    with pytest.raises(SolError, match="reviewer's name"):
        say("approved", run, reviewer=name)


def test_the_file_keeps_its_mode_and_a_link_its_target(run, tmp_path):
    path = run / "recipe.yaml"
    path.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    decide(link, Approval("approved", "Ann"), None)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert load_recipe(path).approval.reviewer == "Ann"


def test_a_write_that_fails_leaves_the_old_recipe_and_no_other_file(run, monkeypatch):
    before = (run / "recipe.yaml").read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ApprovalError, match="No space left"):
        say("approved", run)
    assert (run / "recipe.yaml").read_bytes() == before
    assert sorted(path.name for path in run.iterdir()) == ["recipe.yaml", "report.json"]


def test_no_recipe_says_so(tmp_path):
    with pytest.raises(RecipeError, match="No recipe at"):
        say("approved", tmp_path)


def test_an_approval_of_another_day_still_loads(tmp_path):
    text = dump_recipe(make_recipe())
    head = text[: text.index("approval:")]
    digest = text[text.rindex("digest: sha256") :]
    old = f"{head}approval:\n  status: approved\n  reviewer: Ann\n  note: null\n{digest}"
    path = tmp_path / "recipe.yaml"
    path.write_text(old)
    assert load_recipe(path).approval == Approval("approved", "Ann")
