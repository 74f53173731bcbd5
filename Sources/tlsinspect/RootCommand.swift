// The commands and what their help says.

import ArgumentParser
import Tooling

/// The tool as a whole.
struct RootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tlsinspect",
        abstract: "Looks at what a TLS server presents.",
        discussion: """
            EXAMPLES
              tlsinspect demo                        see it work, offline
              tlsinspect probe example.com           one handshake, everything readable
              tlsinspect probe example.com --connect 192.0.2.7
                                                     that name, at another address
              tlsinspect probe 192.0.2.7:8443 --sni -
                                                     without a servername
              tlsinspect probe example.com --report page.html
                                                     a page with pictures, too
              tlsinspect matrix example.com --sni example.com,www.example.com,-
                                                     which certificate and protocol
                                                     for which servername
              tlsinspect scan example.com            versions, suites, groups
              tlsinspect expiry --file hosts.txt     days left of many servers
              tlsinspect diff one.test two.test      what differs
              tlsinspect explain 112                 what a code means
              tlsinspect listen 127.0.0.1:8443       what clients say first
              tlsinspect serve                       a page with a browser's own hello

            EXIT CODES
              0   done, nothing found that weighs as much as --fail-on
              1   done, with findings, or something differs
              2   wrong usage, or a file that cannot be read
              3   no TCP connection
              4   TCP, and no TLS handshake
              5   a handshake, and a certificate not trusted or for another name
              70  a bug

            MANUALS
              man tlsinspect-probe, and so on; docs/man of the sources
            """,
        version: "tlsinspect \(Tool.version)",
        subcommands: [
            ProbeCommand.self, MatrixCommand.self, ScanCommand.self, ExpiryCommand.self,
            DiffCommand.self, ListenCommand.self, ServeCommand.self, ExplainCommand.self,
            DemoCommand.self,
        ]
    )
}
