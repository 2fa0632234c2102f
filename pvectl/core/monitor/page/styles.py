"""How the page looks: one style sheet, in light and dark, from a phone to a screen on the wall."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

_LIGHT = """
--ground:#f4f5f7;--card:#fff;--ink:#1a2230;--dim:#525d6e;--line:#dadfe7;--track:#e3e7ed;--tick:#6b7687;--plain:#4a6c9b;--code:#eef1f5;
--ok:#1f7a4d;--warning:#8a5a00;--critical:#b3261e;--unknown:#5b4fa8;
--ok-soft:#e9f5ee;--warning-soft:#fdf3df;--critical-soft:#fdecea;--unknown-soft:#efedfb;--amber:#ab7400;--mark:#fff;--link:#2b5797
"""
_DARK = """
--ground:#10141a;--card:#191f28;--ink:#e7ebf1;--dim:#a3aebd;--line:#2d3643;--track:#2c3542;--tick:#8793a5;--plain:#7ea6dc;--code:#222a35;
--ok:#6fcf97;--warning:#f0b849;--critical:#ff8f85;--unknown:#b9adff;
--ok-soft:#16261e;--warning-soft:#2b2415;--critical-soft:#331c1b;--unknown-soft:#221f36;--amber:#f0b849;--mark:#10141a;--link:#9cc2f5
"""
_RULES = """
*,*::before,*::after{box-sizing:border-box}
html{font-size:clamp(1rem,.62rem + .42vw,1.6rem);-webkit-text-size-adjust:100%}
body{margin:0;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
 overflow-wrap:anywhere}
a{color:var(--link)}
a:focus-visible,summary:focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:4px}
h1,h2,h3,p,dl,dd,ul,ol,figure{margin:0;padding:0}
ul,ol{list-style:none}
h1{font-size:clamp(1.5rem,1.1rem + 1.9vw,2.6rem);line-height:1.2;font-weight:650;letter-spacing:-.015em;text-wrap:balance}
h2{font-size:1.2rem;line-height:1.3;font-weight:650}
h3{font-size:1rem;line-height:1.4;font-weight:600}
code{font:.875em/1.5 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
time,.number,td,dd b{font-variant-numeric:tabular-nums}
.dim{color:var(--dim)}
.small{font-size:.875rem}
.defined{position:absolute}
.icon{width:1em;height:1em;flex:none;fill:currentColor;vertical-align:-.125em}
.icon.ok,.badge.ok{color:var(--ok)}
.icon.warning,.badge.warning{color:var(--warning)}
.icon.critical,.badge.critical{color:var(--critical)}
.icon.unknown,.badge.unknown{color:var(--unknown)}
.mark{fill:none;stroke:var(--mark);stroke-width:1.6;stroke-linecap:round;stroke-linejoin:round}
.badge{display:inline-flex;align-items:center;gap:.35em;font-weight:600;font-size:.875rem;line-height:1.25}
.badges{display:flex;flex-wrap:wrap;gap:0 .75rem}
.tag{display:inline-block;padding:0 .45em;border:1px solid var(--line);border-radius:.35rem;font-size:.8125rem}
.skip{position:absolute;left:-999rem}
.skip:focus{position:static;display:block;padding:.5rem 1rem}
.top,main,footer{max-width:110rem;margin:0 auto;padding:0 clamp(1rem,3vw,2.5rem)}
.verdict{border-top:.4rem solid;padding:clamp(1.25rem,3vw,2.25rem) 0 clamp(1rem,2.4vw,1.75rem);border-bottom:1px solid var(--line)}
.verdict.ok{border-top-color:var(--ok);background:var(--ok-soft)}
.verdict.warning{border-top-color:var(--warning);background:var(--warning-soft)}
.verdict.critical{border-top-color:var(--critical);background:var(--critical-soft)}
.verdict.unknown{border-top-color:var(--unknown);background:var(--unknown-soft)}
.verdict h1{display:flex;gap:.5em;align-items:flex-start}
.verdict h1 .icon{width:.9em;height:.9em;margin-top:.15em}
.place{color:var(--dim);font-weight:600;margin-bottom:.35rem}
.asof{margin-top:.6rem;color:var(--dim)}
.asof b{color:var(--ink)}
.old{max-height:0;overflow:hidden;visibility:hidden;font-weight:600;animation:old 0s linear 1800s forwards}
@keyframes old{to{max-height:10rem;visibility:visible}}
.tally{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:.5rem;margin-top:1.25rem;max-width:52rem}
.tally a{display:block;height:100%;padding:.6rem .75rem;background:var(--card);border:1px solid var(--line);border-radius:.6rem;
 color:inherit;text-decoration:none}
.tally a:hover{border-color:var(--link)}
.tally b{display:block;font-size:1.6rem;line-height:1.2;font-weight:650;font-variant-numeric:tabular-nums}
td.state .badge{white-space:nowrap}
.tally .none .icon,.tally .none b,.tally .none .badge{color:var(--dim);font-weight:500}
nav{padding-top:1rem}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem}
nav a{display:inline-block;padding:.3rem 0;font-weight:500}
main{padding-top:1.5rem}
main>section,.pair>section{margin-bottom:2.5rem}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:0 2rem}
.heading{display:flex;flex-wrap:wrap;align-items:baseline;gap:.15rem .75rem;margin-bottom:.75rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:.75rem}
.cards.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,27rem),1fr))}
.card,.fine,table,.jobs>li{background:var(--card);border:1px solid var(--line);border-radius:.6rem}
.card{padding:.9rem 1rem;min-width:0}
.card.warning{border-left:.3rem solid var(--warning)}
.card.critical{border-left:.3rem solid var(--critical)}
.card.unknown{border-left:.3rem solid var(--unknown)}
.card.off{background:none;border-style:dashed}
.fine{padding:.9rem 1rem;display:flex;gap:.6rem;align-items:baseline}
.group{margin-top:1.25rem}
.group>h3{margin-bottom:.5rem}
.group>h3 .badge{font-size:1rem}
.finding .what{font-weight:600}
.sentence::first-letter{text-transform:uppercase}
.facts{display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin-top:.3rem;color:var(--dim);font-size:.875rem}
.facts div{display:flex;gap:.35em}
.facts dt{flex:none}
.facts dd{color:var(--ink)}
.finding .bar{margin-top:.55rem}
.todo{margin-top:.55rem;padding-top:.5rem;border-top:1px solid var(--line);font-size:.9375rem}
.todo code,.commands code{display:block;margin-top:.3rem;
 padding:.35rem .6rem;background:var(--code);border-radius:.35rem;white-space:pre-wrap}
.commands{border-top:0;margin-top:1rem}
.more{margin-top:.6rem;color:var(--dim)}
.titled{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.1rem .75rem;align-items:baseline}
.titled h3{font-size:1.0625rem}
.gauges{margin-top:.65rem;display:grid;gap:.55rem}
.gauge{display:grid;grid-template-columns:4.8rem 1fr;gap:.05rem .5rem;font-size:.9375rem}
.gauge dt{color:var(--dim)}
.gauge dd{text-align:right}
.gauge .across{grid-column:1/-1}
.gauge .icon{margin-right:.3em}
.bar{display:block;width:100%;height:.5rem;border-radius:.25rem;overflow:hidden}
.bar .track{fill:var(--track)}
.bar .fill{fill:var(--plain)}
.bar.warning .fill{fill:var(--amber)}
.bar.critical .fill{fill:var(--critical)}
.bar .level{fill:none;stroke:var(--tick);stroke-width:2;vector-effect:non-scaling-stroke}
.bar.unknown{border:1px dashed var(--tick)}
.bar.unknown .track{fill:none}
table{width:100%;border-collapse:separate;border-spacing:0;font-size:.9375rem}
caption{text-align:left;color:var(--dim);font-size:.875rem;padding:0 0 .5rem}
th{text-align:left;font-weight:600}
thead th{color:var(--dim);font-size:.8125rem;padding:.6rem .9rem .4rem;vertical-align:bottom}
tbody th,td{padding:.5rem .9rem;border-top:1px solid var(--line);vertical-align:top}
.right{text-align:right}
td.measure{min-width:11rem}
td.measure .bar{margin-top:.3rem}
td.measure .number{display:flex;justify-content:space-between;gap:.75rem}
tbody th .under,td .under{display:block;font-weight:400;font-size:.875rem;color:var(--dim)}
.jobs{display:grid;gap:.5rem}
.jobs>li{padding:.8rem 1rem}
.jobs .when{font-size:1.15rem;font-weight:650}
.steps{display:grid;grid-template-columns:repeat(5,minmax(0,1fr));gap:.3rem;margin:.55rem 0 .45rem}
.steps li{border-top:.3rem solid var(--track);padding-top:.2rem;font-size:.8125rem;color:var(--dim);white-space:nowrap}
.steps .past{border-color:var(--plain)}
.steps [aria-current]{border-color:var(--plain);color:var(--ink);font-weight:650}
details{margin-top:.75rem}
summary{cursor:pointer;padding:.35rem 0;font-weight:600}
details table{margin-top:.5rem}
footer{padding-top:1.25rem;padding-bottom:2rem;border-top:1px solid var(--line);color:var(--dim);font-size:.875rem}
footer p+p{margin-top:.3rem}
@media (max-width:44rem){
 .tally{grid-template-columns:repeat(2,minmax(0,1fr))}
 thead{position:absolute;left:-999rem}
 table,tbody{display:block}
 caption{display:block}
 table{border:0;background:none}
 tbody tr{display:grid;grid-template-columns:minmax(0,1fr) auto;gap:.15rem .9rem;padding:.7rem .9rem;margin-bottom:.5rem;
  background:var(--card);border:1px solid var(--line);border-radius:.6rem}
 tbody th,td{display:block;border:0;padding:0}
 td[data-term]::before{content:attr(data-term) " ";color:var(--dim);font-size:.875rem}
 .number[data-term]::before{content:attr(data-term);color:var(--dim);margin-right:-.4rem}
 td.measure .number b{margin-right:auto}
 td.measure,td.across{grid-column:1/-1;min-width:0}
 td.right{text-align:left}
 td.state .badge{white-space:normal}
 td.state{grid-column:2;grid-row:1;text-align:right}
 td:empty{display:none}
}
@media (min-width:100rem){
 .sides{display:grid;grid-template-columns:minmax(0,6fr) minmax(0,7fr);grid-template-rows:auto auto 1fr;column-gap:2.5rem}
 .sides>*{grid-column:1/-1}
 .sides>#problems{grid-column:1;grid-row:1/span 3}
 .sides>#nodes,.sides>#storages,.sides>.pair{grid-column:2}
}
@media (forced-colors:active){.bar{border:1px solid CanvasText}.bar .fill{fill:Highlight}.bar .track{fill:Canvas}}
@media print{.card,tr,.jobs>li{break-inside:avoid}nav,.skip{display:none}}
"""


def _packed(text: str) -> str:
    return "".join(line.strip() if line.startswith(" ") is False else " " + line.strip() for line in text.strip().splitlines())


SHEET = (
    f":root{{color-scheme:light dark;{_packed(_LIGHT)}}}@media (prefers-color-scheme:dark){{:root{{{_packed(_DARK)}}}}}{_packed(_RULES)}"
)
HASH = b64encode(sha256(SHEET.encode()).digest()).decode()
"""What the page's Content-Security-Policy allows as style, and nothing else."""
