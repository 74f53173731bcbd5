// The commands and what their help says.

import ArgumentParser
import Tooling

/// The tool as a whole.
struct RootCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tlscerts",
        abstract: "Certificates and servers for TLS tests, good and bad.",
        discussion: """
            EXAMPLES
              tlscerts make localhost 127.0.0.1 -o certs    a certificate and its authority
              tlscerts make alice --client --p12 -o certs   another of that authority
              tlscerts make a.test --fault expired -o bad   one with something wrong
              tlscerts list                                 everything that can be wrong
              tlscerts zoo                                  all of it behind one port
              tlscerts ocsp certs --revoke certs/chain.pem  a responder for an authority
              tlscerts check certs                          expiry, keys, order of chains

            EXIT CODES
              0   done, nothing amiss
              1   done, with findings
              2   wrong usage, or a file that cannot be read or written
              3   it cannot listen there
              70  a bug

            MANUALS
              man tlscerts-make, and so on; docs/man of the sources
            """,
        version: "tlscerts \(Tool.version)",
        subcommands: [
            MakeCommand.self, ListCommand.self, ZooCommand.self, OCSPCommand.self,
            CheckCommand.self,
        ]
    )
}
