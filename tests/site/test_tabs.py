"""A tab that one test has used is as new for the next."""

import pytest
import tabs

ADDRESS = "http://book.test/"
PAGE = "<!doctype html><title>Tab</title><body style='margin: 0; height: 100vh'>"
# All that a test may leave behind in a tab.
LEFT = """async () => ({
    local: {...localStorage},
    session: {...sessionStorage},
    cookie: document.cookie,
    name: window.name,
    size: [innerWidth, innerHeight],
    hovered: document.querySelectorAll(":hover").length,
    media: ["(prefers-color-scheme: dark)", "(prefers-reduced-motion: reduce)",
        "(forced-colors: active)", "(prefers-contrast: more)", "print"]
        .filter((query) => matchMedia(query).matches),
    allowed: (await navigator.permissions.query({name: "geolocation"})).state,
    touch: navigator.maxTouchPoints,
})"""


def fulfil(route):
    route.fulfill(body=PAGE, content_type="text/html")


def take(own, listeners=None, **more):
    page = own.take((800, 600), "light", listeners or {}, fulfil, **more)
    page.goto(ADDRESS)
    return page


def soil(page):
    """Leave behind all that can be left."""
    page.evaluate("""() => {
        localStorage.theme = sessionStorage.seen = window.name = "dark";
        document.cookie = "kept=yes";
    }""")
    page.context.grant_permissions(["geolocation"])
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(
        color_scheme="dark", reduced_motion="reduce", forced_colors="active", contrast="more"
    )
    page.mouse.move(100, 100)


@pytest.fixture
def own(browser):
    """Tabs that no other test has."""
    own = tabs.Tabs(browser)
    yield own
    for page in {*own.idle, *own.uses}:
        own.close(page)


def test_a_used_tab_is_as_a_new_one(own):
    page = take(own)
    clean = page.evaluate(LEFT)
    soil(page)
    soiled = page.evaluate(LEFT)
    assert not [name for name in clean if name != "touch" and clean[name] == soiled[name]]
    own.give_back(page)
    again = take(own)
    assert again is page
    another = take(own)
    assert another is not page
    assert again.evaluate(LEFT) == clean == another.evaluate(LEFT)


def test_a_print_and_a_route_are_forgotten(own):
    page = take(own)
    page.emulate_media(media="print")
    page.route("**/*", lambda route: route.fulfill(body="another page"))
    page.goto(ADDRESS)
    assert page.locator("body").inner_text() == "another page"
    own.give_back(page)
    again = take(own)
    assert again is page
    assert again.title() == "Tab" and "print" not in again.evaluate(LEFT)["media"]


def test_nobody_hears_what_the_next_page_says(own):
    said = []
    page = take(own, {"console": lambda message: said.append(message.text)})
    page.evaluate("setTimeout(() => console.log('late'))")
    own.give_back(page)
    assert said == ["late"]  # what was on its way is heard
    page = take(own)
    page.evaluate("console.log('of the next')")
    assert said == ["late"]


def test_a_tab_is_closed_that_cannot_be_made_as_new(own):
    page = take(own)
    page.goto("about:blank")  # it has no storage to be cleared
    own.give_back(page)
    assert page.is_closed()
    page = take(own)
    with page.expect_popup() as another:
        page.evaluate("address => { window.open(address); }", ADDRESS)
    own.give_back(page)
    assert page.is_closed() and another.value.is_closed()
    page = take(own)
    page.close()
    own.give_back(page)
    page = take(own, touch=True)
    assert page.evaluate(LEFT)["touch"] > 0
    own.give_back(page)
    assert page.is_closed() and own.idle == []


def test_a_tab_is_not_used_for_ever(own, monkeypatch):
    monkeypatch.setattr(tabs, "USES", 3)
    seen = []
    for _ in range(4):
        seen.append(own.take((800, 600), "light", {}, fulfil))
        seen[-1].goto(ADDRESS)
        own.give_back(seen[-1])
    assert seen[0] is seen[2] is not seen[3]
    assert seen[0].is_closed()
