"""The report in a real browser: quiet, reachable by keyboard, and readable by day, by night and on a phone."""

import io

import pytest

pytestmark = pytest.mark.browser

SIZES = {"wide": 1280, "tablet": 768, "phone": 390, "small phone": 320}
FOCUS = "document.activeElement"


def told(browser, *methods):
    return [parameters for method, parameters in browser.events if method in methods]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_console_stays_empty_and_nothing_is_asked_for(browser, report_page, scheme):
    browser.open(report_page, scheme=scheme)
    browser.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    browser.run("document.querySelectorAll('button').forEach(each => each.click())")
    browser.run("new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    assert told(browser, "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []
    asked = [each["request"]["url"] for each in told(browser, "Network.requestWillBeSent")]
    assert asked == [report_page.resolve().as_uri()]
    assert browser.run("performance.getEntriesByType('resource').length") == 0


def test_the_policy_stops_what_is_not_the_page_s_own(browser, report_page):
    browser.open(report_page)
    browser.run(
        """(() => {
            const script = document.createElement("script");
            script.textContent = "window.was_run = true";
            document.body.append(script);
            const image = document.createElement("img");
            image.src = "http://127.0.0.1:9/x.png";
            document.body.append(image);
        })()"""
    )
    assert browser.run("window.was_run === undefined")
    refused = [each["entry"]["text"] for each in told(browser, "Log.entryAdded")]
    assert any("Content Security Policy" in text for text in refused)


@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES)
def test_the_page_is_never_wider_than_the_window(browser, report_page, width):
    browser.open(report_page, width=width)
    browser.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert browser.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1280, 390], ids=["wide", "phone"])
def test_letters_in_figures_are_large_enough_to_read(browser, report_page, width):
    browser.open(report_page, width=width)
    smallest = browser.run(
        """Math.min(...Array.from(document.querySelectorAll("svg text"), text =>
            parseFloat(getComputedStyle(text).fontSize) * text.ownerSVGElement.getScreenCTM().a))"""
    )
    assert smallest >= 8.5


def test_no_text_of_a_figure_reaches_out_of_it_or_into_its_neighbour(browser, report_page):
    browser.open(report_page)
    faults = browser.run(
        """Array.from(document.querySelectorAll("svg")).flatMap(svg => {
            const frame = svg.getBoundingClientRect();
            const texts = Array.from(svg.querySelectorAll("text"),
                text => [text.textContent, text.getBoundingClientRect()]);
            const out = texts.filter(([, box]) => box.left < frame.left - 1 || box.right > frame.right + 1);
            const over = texts.filter(([, a], i) => texts.some(([, b], j) => i < j
                && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3));
            return [...out, ...over].map(([words]) => svg.querySelector("title").textContent + ": " + words);
        })"""
    )
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_what_is_behind_them(browser, report_page, scheme):
    """WCAG 2.1's contrast, at least 4.5 to 1."""
    browser.open(report_page, scheme=scheme)
    worst = browser.run(
        """(() => {
            const light = colour => {
                const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(each => each / 255)
                    .map(each => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const behind = element => {
                for (; element; element = element.parentElement) {
                    const colour = getComputedStyle(element).backgroundColor;
                    if (!colour.startsWith("rgba(0, 0, 0, 0")) return colour;
                }
                return "rgb(255, 255, 255)";
            };
            const words = "p, a, h1, h2, h3, h4, td, th, dt, dd, li, pre, summary, button, span, svg text";
            return Array.from(document.querySelectorAll(words))
                .filter(element => element.textContent.trim())
                .map(element => {
                    const style = getComputedStyle(element);
                    const ink = element.namespaceURI.endsWith("svg") ? style.fill : style.color;
                    const [a, b] = [light(ink), light(behind(element))].sort((x, y) => y - x);
                    return [(a + 0.05) / (b + 0.05), element.tagName + "." + element.className];
                })
                .sort((x, y) => x[0] - y[0])[0];
        })()"""
    )
    assert worst[0] >= 4.5, worst


def test_the_first_tab_leads_past_the_header(browser, report_page):
    browser.open(report_page)
    browser.press("Tab")
    assert browser.run(f"{FOCUS}.textContent") == "Skip to the report"
    assert browser.run(f"{FOCUS}.getBoundingClientRect().top") >= 0  # it is seen
    browser.press("Enter")
    assert browser.run(f"{FOCUS}.id") == "main"


def test_what_has_the_focus_is_seen(browser, report_page):
    browser.open(report_page)
    for _ in range(12):
        browser.press("Tab")
        assert browser.run(f"getComputedStyle({FOCUS}).outlineStyle") == "solid"
        assert browser.run(f"parseFloat(getComputedStyle({FOCUS}).outlineWidth)") >= 2


def test_a_table_is_sorted_by_keyboard(browser, report_page):
    browser.open(report_page)
    rows = "document.querySelectorAll('#scores .tables tbody tr')"
    column = f"Array.from({rows}, row => Number(row.cells[2].dataset.sort))"
    head = "document.querySelectorAll('#scores .tables thead th')[2]"
    browser.run(f"{head}.querySelector('button').focus()")
    browser.press("Enter")
    rising = browser.run(column)
    assert rising == sorted(rising)
    assert browser.run(f"{head}.getAttribute('aria-sort')") == "ascending"
    assert "mean, ascending" in browser.run("document.getElementById('said').textContent")
    browser.press(" ")
    assert browser.run(column) == rising[::-1]
    assert browser.run(f"{head}.getAttribute('aria-sort')") == "descending"


def test_a_row_is_opened_by_keyboard_and_shows_its_texts(browser, report_page):
    browser.open(report_page)
    row = "document.querySelector('details.row')"
    browser.run(f"{row}.querySelector('summary').focus()")
    browser.press("Enter")
    assert browser.run(f"{row}.open")
    assert "REWARD:" in browser.run(f"{row}.innerText")
    browser.press(" ")
    assert not browser.run(f"{row}.open")


def test_all_rows_of_a_group_open_and_close_together(browser, report_page):
    browser.open(report_page)
    group = "document.querySelector('.group')"
    browser.run(f"{group}.querySelector('button').focus()")
    count = browser.run(f"{group}.querySelectorAll('details.row').length")
    browser.press("Enter")
    assert browser.run(f"{group}.querySelectorAll('details.row[open]').length") == count > 1
    browser.press("Enter")
    assert browser.run(f"{group}.querySelectorAll('details.row[open]').length") == 0


def test_what_scrolls_can_be_reached_by_keyboard(browser, report_page):
    browser.open(report_page, width=390)
    unreachable = """Array.from(document.querySelectorAll(".scroll, pre"))
        .filter(each => each.scrollWidth > each.clientWidth && each.tabIndex < 0).length"""
    assert browser.run(unreachable) == 0
    assert browser.run("document.querySelectorAll('.scroll[tabindex]').length") > 0


def test_everything_can_be_read_without_its_script(browser, report_page, tmp_path):
    text = report_page.read_text()
    bare = tmp_path / "bare.html"
    bare.write_text(text[: text.rindex("<script>")])
    browser.open(bare)
    assert browser.run("document.querySelectorAll('th button').length") == 0
    assert browser.run("getComputedStyle(document.querySelector('button.all')).display") == "none"
    browser.run("document.querySelector('details.row').open = true")
    assert "REWARD:" in browser.run("document.querySelector('details.row').innerText")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390], ids=["wide", "phone"])
def test_a_picture_of_the_page_is_not_blank_and_has_the_scheme_s_ground(browser, report_page, scheme, width):
    image = pytest.importorskip("PIL.Image")
    browser.open(report_page, width=width, scheme=scheme)
    for part in ("scores", "agreement", "comparison", "rows"):
        browser.run(f"document.getElementById('{part}').scrollIntoView({{behavior: 'instant'}})")
        picture = image.open(io.BytesIO(browser.screenshot())).convert("RGB")
        assert picture.width == width
        counted = sorted(picture.getcolors(1 << 24), reverse=True)
        ground = sum(counted[0][1]) / 3
        assert (ground > 200) == (scheme == "light")
        assert len(counted) > 60  # letters, lines and bars
        assert counted[0][0] < 0.97 * picture.width * picture.height
