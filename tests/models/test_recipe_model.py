import pytest

from sol.errors import ModelLoadError
from sol.models.catalog import POCKET_WEIGHTS
from sol.models.recipe_model import check_recipe_model
from sol.target import Model


def model(model_id: str, revision: str = "local") -> Model:
    return Model(model_id, "ltx", revision, "sha256:00")


@pytest.mark.parametrize(
    ("model_id", "revision"),
    [
        ("pocket", "local"),
        ("Lightricks/LTX-Video", "a" * 40),
        ("someone/some_model.v2-1", "refs/pr/1"),
        (str(POCKET_WEIGHTS), "local"),
    ],
)
def test_a_known_model_and_one_of_the_hub_are_opened(model_id, revision):
    check_recipe_model(model(model_id, revision))


@pytest.mark.parametrize(
    ("model_id", "revision"),
    [
        ("/etc", "local"),
        ("../secret", "main"),
        ("a/..", "main"),
        ("./weights", "local"),
        ("weights", "local"),
        ("a/b/c", "main"),
        ("~/models", "main"),
        ("C:\\models", "main"),
        ("someone/model\n", "main"),
        ("", "main"),
        ("someone/model", "../../main"),
        ("someone/model", ""),
        ("someone/model", "--upload"),
    ],
)
def test_a_path_is_not(model_id, revision):
    with pytest.raises(ModelLoadError, match="--model FOLDER"):
        check_recipe_model(model(model_id, revision))


def test_a_folder_that_looks_like_a_hub_id_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_recipe_model(model("someone/weights", "main"))
    (tmp_path / "someone" / "weights").mkdir(parents=True)
    with pytest.raises(ModelLoadError, match="folders that a recipe names are not opened"):
        check_recipe_model(model("someone/weights", "main"))
