// How pages look: one sheet for reports and for the page of `serve`, in light and in dark, on a phone, on a
// desk and on paper. It loads nothing.

/// The sheet of style.
package enum PageStyle {
    /// The whole sheet, which holds no `</`; the policy of a page names its digest.
    package static let sheet: HTML = "\n\(colors)\n\(text)\n\(boxes)\n\(pictures)\n\(paper)\n"

    private static let colors: HTML = """
        :root { --ink: #1b1f24; --dim: #57606a; --line: #dfe3e8; --card: #ffffff; --back: #f5f6f8;
          --link: #0b57a4; --ok: #116329; --ok-soft: #e3f6e8; --ok-line: #2c974b;
          --note: #0a4fa3; --note-soft: #e4f1fd; --note-line: #3987d9;
          --warn: #774700; --warn-soft: #fff3c9; --warn-line: #c28a00;
          --bad: #a40e26; --bad-soft: #ffe9e7; --bad-line: #d1242f;
          --plain: #57606a; --plain-soft: #eef0f3; --plain-line: #a3acb6 }
        @media screen and (prefers-color-scheme: dark) { :root { --ink: #e7eaee; --dim: #9aa5b1;
          --line: #2c333b; --card: #1a1f25; --back: #111418; --link: #8ab8ff;
          --ok: #7ee2a0; --ok-soft: #12301f; --ok-line: #2f9e57;
          --note: #8ec3ff; --note-soft: #13283f; --note-line: #3b82d0;
          --warn: #f3cd68; --warn-soft: #352806; --warn-line: #b58407;
          --bad: #ffa39b; --bad-soft: #3d1518; --bad-line: #e5534b;
          --plain: #9aa5b1; --plain-soft: #242b33; --plain-line: #5b6672 } }
        .ok { --tone: var(--ok); --soft: var(--ok-soft); --edge: var(--ok-line) }
        .note { --tone: var(--note); --soft: var(--note-soft); --edge: var(--note-line) }
        .warn { --tone: var(--warn); --soft: var(--warn-soft); --edge: var(--warn-line) }
        .bad { --tone: var(--bad); --soft: var(--bad-soft); --edge: var(--bad-line) }
        .plain { --tone: var(--plain); --soft: var(--plain-soft); --edge: var(--plain-line) }
        """

    private static let text: HTML = """
        * { box-sizing: border-box }
        html { -webkit-text-size-adjust: 100% }
        body { margin: 0 auto; max-width: 62rem; padding: 1.25rem 1rem 3rem; color: var(--ink);
          background: var(--back); font: 1rem/1.5 system-ui, sans-serif }
        h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere }
        h2 { font-size: 1.1rem; margin: 1.8rem 0 .5rem }
        h3 { font-size: 1rem; margin: 0 0 .4rem; overflow-wrap: anywhere }
        p { margin: .4rem 0; overflow-wrap: anywhere }
        small, .dim { color: var(--dim); font-weight: 400 } a { color: var(--link) }
        dd, td, th, li, h1, h3, summary, code { unicode-bidi: isolate }
        code, pre { font: .85rem/1.7 ui-monospace, monospace; overflow-wrap: anywhere }
        pre { margin: .6rem 0 0; overflow-x: auto; line-height: 1.4 }
        header p { margin: .2rem 0 } .kind { color: var(--dim); font-size: .9rem }
        .verdict { margin-top: .8rem; font-size: 1.05rem } footer { margin-top: 2.2rem }
        .badge { display: inline-block; padding: 0 .55em; border: 1px solid var(--edge);
          border-radius: .9em; color: var(--tone); background: var(--soft); font-weight: 600;
          font-size: .875em; white-space: nowrap } .verdict .badge { font-size: 1em;
          padding: .1em .8em; white-space: normal }
        .sign { margin-right: .4em }
        """

    private static let boxes: HTML = """
        dl, ol, .card { margin: 0; padding: .2rem .9rem; list-style: none; background: var(--card);
          border: 1px solid var(--line); border-radius: .6rem }
        .card { padding: .8rem .9rem } .card + .card, dl + .card, .card + dl, .scroll + .card,
          .card + .scroll, .scroll + dl, dl + .scroll { margin-top: .6rem }
        dl div, ol li { display: flex; gap: .1rem 1rem; padding: .35rem 0 } dl div { flex-wrap: wrap }
        dl div + div, ol li + li { border-top: 1px solid var(--line) }
        dt { flex: 0 0 9rem; color: var(--dim) }
        dd { flex: 1 1 11rem; margin: 0; min-width: 0; overflow-wrap: anywhere }
        @media (max-width: 32rem) { dt { flex-basis: 6rem } dt, dd { font-size: .95rem }
          dl div { column-gap: .6rem } }
        ol li span { min-width: 0; overflow-wrap: anywhere } ol li code { color: var(--dim) }
        .grease span { color: var(--dim); font-style: italic }
        .chips { display: flex; flex-wrap: wrap; gap: .3rem; margin: 0; padding: 0;
          list-style: none } .chips li { padding: 0 .5em; border: 1px solid var(--line);
          border-radius: .4em; background: var(--back); font-size: .9em; overflow-wrap: anywhere;
          min-width: 0 } .chips .quantum { border-color: var(--ok-line) }
        .finding { border-left: .3rem solid var(--edge) } .finding h3 { font-weight: 600 }
        .finding h3 code { margin-left: .5rem } .finding p:last-child { margin-bottom: 0 }
        .two { display: grid; gap: .6rem } .two > *, .two > * + * { min-width: 0 }
        .two > .card, .two > dl + .card { margin: 0 }
        @media (min-width: 56rem) { .two { grid-template-columns: 1fr 1fr } }
        .scroll { overflow-x: auto; background: linear-gradient(to right, var(--card), var(--card))
          left / 2rem 100% no-repeat local, linear-gradient(to left, var(--card), var(--card)) right /
          2rem 100% no-repeat local, linear-gradient(to left, var(--line), var(--card)) right /
          .8rem 100% no-repeat scroll var(--card); border: 1px solid var(--line);
          border-radius: .6rem } .scroll:focus-visible, summary:focus-visible {
          outline: 2px solid var(--link) }
        table { border-collapse: collapse; width: 100%; font-size: .95rem }
        th, td { padding: .45rem .55rem; text-align: left; vertical-align: middle;
          white-space: nowrap } th { font-weight: 600 } thead th { color: var(--dim);
          font-weight: 400; font-size: .875rem } tbody tr { border-top: 1px solid var(--line) }
        th:first-child { padding-left: .9rem }
        tbody th { position: sticky; left: 0; background: var(--card); max-width: 11rem;
          white-space: normal; overflow-wrap: break-word }
        @media (min-width: 40rem) { tbody th { max-width: none; white-space: nowrap } } td.wrap { white-space: normal; min-width: 14rem }
        .cell { display: inline-block; min-width: 4rem; padding: .1rem .6rem; color: var(--tone);
          background: var(--soft); border-left: .2rem solid var(--edge); border-radius: .25rem }
        .letter { display: inline-block; min-width: 1.55em; margin-right: .45em; padding: 0 .3em;
          border-radius: .3em; color: #fff; background: #57606a; font-weight: 700;
          text-align: center; font-size: .85em; line-height: 1.55em } .c0 { background: #0b57a4 }
        .c1 { background: #116329 } .c2 { background: #8a3b00 } .c3 { background: #6b39b8 }
        .c4 { background: #00606b } .c5 { background: #8a2a6b } .c6 { background: #5a5200 }
        details summary { cursor: pointer; overflow-wrap: anywhere } details[open] summary {
          margin-bottom: .5rem } details dl { padding: 0; border: 0; background: none }
        del { color: var(--bad); text-decoration: none } ins { color: var(--ok);
          text-decoration: none } .values { margin: 0; padding: 0; list-style: none }
        .values li { overflow-wrap: anywhere }
        .finding > .values { columns: 24rem }
        """

    private static let pictures: HTML = """
        svg { display: block; width: 100%; height: auto; margin: 0 auto } .picture { padding: .9rem }
        svg text { fill: var(--ink); font: 12px system-ui, sans-serif; unicode-bidi: isolate }
        svg .name { font-size: 15px; font-weight: 600 } svg .small { font-size: 11px }
        svg .dim { fill: var(--dim) } svg .tone { fill: var(--tone); font-weight: 600 }
        svg .right { text-anchor: end } svg .middle { text-anchor: middle }
        .box { fill: var(--back); stroke: var(--edge); stroke-width: 1.5 }
        .dashed { stroke-dasharray: 5 4 } .stripe, .left, .head { fill: var(--edge) }
        .track { fill: var(--plain-soft); stroke: var(--plain-line); stroke-width: .5 }
        .wire { stroke: var(--edge); stroke-width: 1.8; fill: none }
        .life { stroke: var(--plain-line); stroke-width: 1.2; stroke-dasharray: 2 3 }
        .now { stroke: var(--ink); stroke-width: 1.5 }
        .s0 { fill: #7a8794 } .s1 { fill: #3987d9 } .s2 { fill: #8957d6 } .s3 { fill: #2c974b }
        .bar { display: inline-block; width: 6rem; height: .55rem; margin: 0 .6rem 0 0;
          vertical-align: middle }
        .across { display: none } @media (min-width: 56rem) { .across { display: block }
          .across + .down { display: none } } .down { max-width: 27rem } .time { max-width: 27rem }
        """

    private static let paper: HTML = """
        @media print { body { max-width: none; padding: 0; background: #fff; font-size: .85rem }
          * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
          .two { grid-template-columns: 1fr 1fr } .down, .time { max-width: 19rem }
          dt { flex-basis: 6rem }
          .card, dl, tr, svg, li { break-inside: avoid } h2 { break-after: avoid }
          .scroll { overflow: visible } th, td { white-space: normal; overflow-wrap: anywhere } }
        """
}
