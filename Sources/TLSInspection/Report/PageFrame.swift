// What every page has: no script, one sheet of style, and a policy that allows nothing else. The policy
// names the sheet by its digest, so that style from elsewhere - out of a name, say - would do nothing.

import TLSEngine

/// The frame of a page: its head, its policy, its style.
package enum PageFrame {
    /// The content security policy: this sheet of style and nothing else.
    package static let policy =
        "default-src 'none'; style-src '\(digest)'; base-uri 'none'; form-action 'none'"

    private static let digest =
        "sha256-" + base64(OpenSSLLibrary.sha256(Array(PageStyle.sheet.text.utf8)))

    /// A whole page.
    ///
    /// - Parameters:
    ///   - title: What tabs and files are called by.
    ///   - body: What it shows.
    /// - Returns: The page, with a line feed at its end.
    package static func page(_ title: String, _ body: HTML) -> String {
        let page: HTML = """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="\(policy)">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta name="referrer" content="no-referrer">
            <title>\(title)</title>
            <style>\(PageStyle.sheet)</style>
            </head>
            <body>
            \(body)
            </body>
            </html>

            """
        return page.text
    }
}
