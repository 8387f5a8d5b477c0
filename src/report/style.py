"""How a report looks: its colours in light and dark, on screens of any width and on paper.

Text has a contrast of at least 4.5:1 on whatever it stands on, lines of curves too, because their
names are written in their colours (tests/report/test_style.py computes it).
"""

from .marks import COLOURS as COLOURS_OF_SERIES
from .marks import TURNS, dashes

# Variable: (light, dark).  s0 .. s7 are the series.
COLOURS = {
    "paper": ("#ffffff", "#14171c"),
    "panel": ("#f5f7f9", "#1d2229"),
    "ink": ("#1b2430", "#e8ecf1"),
    "quiet": ("#5a6675", "#a3aebb"),
    "line": ("#e3e7ec", "#2e353f"),
    "base": ("#8793a1", "#6d7986"),
    "shade": ("#d5dbe2", "#343c47"),
    "accent": ("#1d4ed8", "#8fb1ff"),
    "warn": ("#8a2c0d", "#ffb79a"),
    "warn-panel": ("#fdf1ec", "#35211a"),
    "s0": ("#1d4ed8", "#7fa5ff"),
    "s1": ("#b4460a", "#f5a05a"),
    "s2": ("#0b7a53", "#4fca9b"),
    "s3": ("#8127c9", "#c79bff"),
    "s4": ("#c01048", "#ff86a0"),
    "s5": ("#0a7285", "#4dc6dd"),
    "s6": ("#6b6a00", "#c9c64a"),
    "s7": ("#4a5666", "#b3bfcc"),
}


def _variables(scheme: int) -> str:
    return "".join(f"--{name}:{pair[scheme]};" for name, pair in COLOURS.items())


def _line(lengths: tuple[float, ...]) -> str:
    """Return the background that looks like a line of these dashes and gaps."""
    at, stops = 0.0, []
    for place, length in enumerate(lengths or (1,)):
        colour = "transparent" if place % 2 else "var(--c)"
        stops.append(f"{colour} {at:g}px {at + length:g}px")
        at += length
    return f"repeating-linear-gradient(90deg,{','.join(stops)})"


STYLE = (
    f":root{{color-scheme:light dark;{_variables(0)}}}\n"
    f"@media (prefers-color-scheme:dark){{:root{{{_variables(1)}}}}}\n"
    f"@media print{{:root{{color-scheme:light;{_variables(0)}}}}}\n"
    + "".join(f".s{n}{{--c:var(--s{n})}}" for n in range(COLOURS_OF_SERIES))
    + "".join(f".d{n}{{background-image:{_line(dashes(n))}}}" for n in range(TURNS))
    + """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0 auto;max-width:1180px;padding:36px 28px 72px;color:var(--ink);
  background:var(--paper);font:15px/1.55 system-ui,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",
  sans-serif;font-variant-numeric:tabular-nums}
header{display:flex;flex-wrap:wrap;align-items:baseline;justify-content:space-between;gap:0 24px}
header p{margin:0;color:var(--quiet);font-size:13px}
h1{margin:0;font-size:27px;line-height:1.25;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{margin:0 0 10px;font-size:21px;line-height:1.3;overflow-wrap:anywhere}
h2 small{margin-left:6px;color:var(--quiet);font-size:14px;font-weight:400}
h3{margin:40px 0 10px;font-size:16px;line-height:1.35;overflow-wrap:anywhere}
h4{margin:18px 0 8px;font-size:14px;font-weight:600}
p{margin:8px 0;max-width:76ch;overflow-wrap:anywhere}
section{margin-top:44px;padding-top:28px;border-top:1px solid var(--line)}
.summary{margin-top:18px;padding-left:16px;border-left:3px solid var(--accent)}
.summary p{font-size:16.5px;line-height:1.5}
.whole{white-space:nowrap}
.note{color:var(--quiet);font-size:13px}
.warning{margin:16px 0;padding:10px 16px;border-radius:6px;color:var(--warn);
  background:var(--warn-panel);overflow-wrap:anywhere}
.warning ul{margin:8px 0;padding-left:20px}
nav{display:flex;flex-wrap:wrap;gap:4px 20px;margin-top:18px;font-size:14px}
a{color:var(--accent)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.scroll{max-width:100%;margin:14px 0 8px;overflow-x:auto;
  background:linear-gradient(to left,var(--paper) 30%,transparent) right/48px 100% no-repeat local,
  linear-gradient(to left,var(--shade),transparent) right/12px 100% no-repeat scroll}
table{min-width:min(100%,620px);border-collapse:collapse;font-size:14px;line-height:1.4}
th,td{padding:7px 0 7px 22px;text-align:right;vertical-align:top;white-space:nowrap}
thead th{padding-bottom:6px;color:var(--quiet);font-size:12.5px;font-weight:500;
  vertical-align:bottom;border-bottom:1px solid var(--base)}
tbody tr+tr>*{border-top:1px solid var(--line)}
tr>:first-child{position:sticky;left:0;z-index:1;padding-left:0;padding-right:8px;text-align:left;
  background:var(--paper);white-space:normal;overflow-wrap:anywhere;min-width:190px;max-width:260px}
tbody th{font-weight:500}
td small{display:block;color:var(--quiet);font-size:12px}
.best{font-weight:700;color:var(--accent)}
.best small{font-weight:400}
.low{color:var(--warn)}
.words td,.words th{text-align:left;white-space:normal;overflow-wrap:anywhere}
.words td{min-width:120px}
code{font-size:12px;color:var(--quiet);overflow-wrap:anywhere}
.key{display:inline-flex;align-items:baseline;gap:8px;max-width:100%}
.key bdi{min-width:0;overflow-wrap:anywhere}
.swatch{flex:none;align-self:flex-start;width:25px;height:1.5em;background-size:100% 2px;
  background-position:0 50%;background-repeat:no-repeat}
.legend{display:flex;flex-wrap:wrap;gap:4px 22px;margin:22px 0 0;padding:0;list-style:none;
  font-size:13.5px}
figure{margin:0}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(330px,100%),1fr));
  gap:26px 26px;margin:22px 0 8px}
.chart{display:flex;flex-direction:column;justify-content:space-between;max-width:440px}
.chart figcaption{margin-bottom:4px;font-size:14px;line-height:1.4;overflow-wrap:anywhere}
.chart figcaption b{font-weight:600}
.chart figcaption span{color:var(--quiet);font-size:13px}
.chart svg{display:block;width:100%;height:auto}
svg text{fill:var(--quiet);font-size:12px;font-family:inherit}
svg .name{fill:var(--ink)}
svg .label{fill:var(--c);font-weight:500;paint-order:stroke;stroke:var(--paper);stroke-width:3px}
.grid{fill:none;stroke:var(--line);stroke-width:1}
.base{fill:none;stroke:var(--base);stroke-width:1}
.curve{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:miter}
.lead{fill:none;stroke:var(--c);stroke-width:1;stroke-dasharray:1 2}
.band{fill:var(--c);opacity:.13}
.area{fill:var(--c);opacity:.62}
.impostor{--c:var(--base)}
svg .label.impostor{fill:var(--quiet)}
.dot{fill:var(--c);stroke:var(--paper);stroke-width:1.5}
.diagonal{fill:none;stroke:var(--base);stroke-width:1;stroke-dasharray:4 3}
.threshold{fill:none;stroke:var(--ink);stroke-width:1.2;stroke-dasharray:4 3}
summary{cursor:pointer}
details>summary{margin:28px 0 6px;font-size:15px;font-weight:600}
.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(168px,1fr));gap:18px 16px}
.pairs img,.faces img{display:block;width:100%;height:auto;border-radius:4px;
  background:var(--panel)}
.pairs span,.faces span{display:block}
.pairs figcaption,.faces figcaption{padding-top:5px;color:var(--quiet);font-size:12px;
  line-height:1.4;overflow-wrap:anywhere}
figcaption span:first-child{color:var(--ink)}
.errors{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(330px,100%),1fr));
  gap:18px}
.error{padding:14px 16px;border-radius:8px;background:var(--panel)}
.error p{margin:0 0 10px;font-size:13.5px}
.faces{display:grid;grid-template-columns:repeat(3,1fr);gap:12px}
@media (max-width:600px){body{padding:22px 16px 48px}h1{font-size:23px}.summary p{font-size:15.5px}
  .chart{max-width:none}th,td{padding-left:16px}tr>:first-child{min-width:116px;max-width:132px}
  .pairs{grid-template-columns:repeat(2,1fr);gap:16px 12px}}
@page{margin:14mm}
@media print{body{max-width:none;padding:0;font-size:10.5pt}
  .scroll{overflow:visible;background:none}
  table{font-size:8pt}thead th,td small{font-size:7pt}th,td{padding-left:7px}
  tr>:first-child{position:static;min-width:84px;max-width:150px}nav{display:none}
  thead th{white-space:normal}section{margin-top:20px;padding-top:16px}
  .charts{grid-template-columns:repeat(2,1fr)}.pairs{grid-template-columns:repeat(5,1fr)}
  .errors{grid-template-columns:repeat(2,1fr)}.error{border:1px solid var(--line)}
  figure,.error,tr,li{break-inside:avoid}h2,h3,h4,summary{break-after:avoid}
  svg,img,.swatch,.error,.warning{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
)
