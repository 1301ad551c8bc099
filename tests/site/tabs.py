"""Tabs of the tests' browser, each used by one test after another.

Chromium starts a process for every new tab and reads the scripts of a page into it: of most tests
that is the longest part. A tab that comes back is made as new: its storage, cookies and emulated
media are reset, and what listened to it or answered its requests is taken off.
"""

from playwright.sync_api import Browser, Error, Page

USES = 40  # of one tab, at most: what it may hold of earlier pages is let go
TIMEOUT = 60_000  # a busy machine is no fault of the page
FORGET = "() => { localStorage.clear(); sessionStorage.clear(); window.name = ''; }"
UNSET = {"media": "null", "reduced_motion": "null", "forced_colors": "null", "contrast": "null"}


class Tabs:
    """Tabs to be taken and given back: `take`, then `give_back` or `close`."""

    def __init__(self, browser: Browser):
        self.browser = browser
        self.idle: list[Page] = []
        self.uses: dict[Page, int] = {}
        self.listeners: dict[Page, dict] = {}

    def take(self, size: tuple[int, int], scheme: str, listeners: dict, judge, touch: bool = False):
        """Return an empty tab of `size` that prefers the colour `scheme`; with `touch`, a new one.

        `listeners` maps the names of Playwright's events to functions; `judge` is given every
        request, as a route, and lets it go or not.
        """
        if touch or not self.idle:
            page = self.browser.new_context(has_touch=touch).new_page()
        else:
            page = self.idle.pop()
        self.uses[page] = USES if touch else self.uses.get(page, 0) + 1
        self.listeners[page] = listeners
        page.set_default_timeout(TIMEOUT)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.emulate_media(color_scheme=scheme)
        page.context.route("**/*", judge)
        for event, listener in listeners.items():
            page.on(event, listener)
        return page

    def give_back(self, page: Page) -> None:
        """Make a tab as new, for the next to take it; close it where that cannot be done."""
        context = page.context
        try:
            again = context.pages == [page] and self.uses[page] < USES
            if again:
                page.evaluate(FORGET)  # and hear what the page still has to say
        except Error:  # it was closed, or shows what has no storage
            again = False
        if not again:
            self.close(page)
            return
        for event, listener in self.listeners.pop(page).items():
            page.remove_listener(event, listener)
        page.goto("about:blank")
        page.unroute_all()
        context.unroute_all()
        context.clear_cookies()
        context.clear_permissions()
        page.emulate_media(**UNSET)
        self.idle.append(page)

    def close(self, page: Page) -> None:
        """Close a tab and all that it has opened."""
        self.uses.pop(page, None)
        self.listeners.pop(page, None)
        page.context.close()
