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
              tlsinspect probe mail.test:465 --alpn - --ca root.pem
              tlsinspect probe api.test --cert me.pem --key me.key --format json

            EXIT CODES
              0   done, nothing found that weighs as much as --fail-on
              1   done, with findings
              2   wrong usage, or a file that cannot be read
              3   no TCP connection
              4   TCP, and no TLS handshake
              5   a handshake, and a certificate not trusted or for another name
              70  a bug
            """,
        version: "tlsinspect \(Tool.version)",
        subcommands: [ProbeCommand.self, DemoCommand.self]
    )
}
