"""How the verification report looks: its page and its style sheet."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Face verification</title>
<style>{style}</style>
</head>
<body>
<header><h1>Face verification</h1><p>{date} · arcface_mxnet {version}</p></header>
{sections}
</body>
</html>
"""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 32px 28px 64px; color: #212529;
  background: #fff; font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans",
  sans-serif; }
header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between;
  border-bottom: 2px solid #212529; }
header p { color: #868e96; }
h1 { margin: 0; font-size: 28px; letter-spacing: -0.02em; }
h2 { margin: 40px 0 12px; font-size: 22px; }
h2 small { margin-left: 10px; color: #868e96; font-size: 15px; font-weight: 400; }
h3 { margin: 36px 0 8px; font-size: 17px; overflow-wrap: anywhere; }
h4 { margin: 14px 0 6px; font-size: 14px; overflow-wrap: anywhere; }
section + section { border-top: 1px solid #ced4da; margin-top: 48px; }
.note { margin: 6px 0; color: #868e96; font-size: 13px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 12px; text-align: right; vertical-align: top; white-space: nowrap; }
th { font-weight: 600; }
tr > th:first-child { padding-left: 0; text-align: left; }
.figures-table { width: 100%; font-size: 14px; }
.figures-table tr:first-child th { color: #868e96; border-bottom: 1px solid #212529;
  font-size: 12.5px; }
.figures-table tr + tr { border-bottom: 1px solid #e9ecef; }
td i { display: block; color: #868e96; font-size: 11.5px; font-style: normal; }
td.low { color: #c92a2a; }
.dot { display: inline-block; width: 10px; height: 10px; margin-right: 8px; border-radius: 50%; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr));
  gap: 22px 26px; margin: 22px 0 8px; align-items: start; }
.figures svg { width: 100%; height: auto; }
.cards { display: flex; flex-wrap: wrap; gap: 16px; }
.card { padding: 6px 18px 12px; border: 1px solid #dee2e6; border-radius: 8px;
  background: #f8f9fa; }
.card th, .card td { padding: 3px 10px; font-size: 14px; }
.card tr:first-child th { color: #868e96; font-size: 12.5px; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(172px, 1fr)); gap: 14px; }
figure { margin: 0; }
figure img { display: block; width: 100%; border-radius: 4px; }
figcaption { color: #495057; font-size: 12px; line-height: 1.35; padding-top: 4px;
  overflow-wrap: anywhere; }
.prints { font-size: 13px; }
.prints th, .prints td { padding: 3px 14px 3px 0; text-align: left; white-space: normal; }
.prints code { font-size: 12px; overflow-wrap: anywhere; color: #495057; }
@media print { body { max-width: none; padding: 0; } section { break-inside: auto; }
  figure, .card, svg { break-inside: avoid; } }
"""
