from sol.errors import UnknownNameError, closest_first


def test_the_closest_name_comes_first():
    assert closest_first("easycach", ["text_kv", "step_mask", "easycache"])[0] == "easycache"


def test_all_known_names_are_listed():
    message = str(UnknownNameError("budget", "fast", ["quick", "standard", "thorough"]))
    assert message.startswith("Unknown budget 'fast'.")
    assert all(name in message for name in ("quick", "standard", "thorough"))
