// Finding the programs of others, and what to do when one is not there.

import Foundation
import Testing

/// A program of others, installed or not.
struct ForeignProgram: Sendable, Hashable {
    let name: String
    /// Where it is; nil when it is not installed.
    let path: String?

    /// Looks for a program on the search path, and in further directories before that.
    init(_ name: String, in directories: [String] = []) {
        self.name = name
        path = (directories.joined(separator: ":") + ":" + Self.searchPath).split(separator: ":")
            .map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    static let openssl = ForeignProgram("openssl")
    static let nginx = ForeignProgram("nginx")
    static let curl = ForeignProgram("curl")
    static let haproxy = ForeignProgram("haproxy")
    static let gnutlsServ = ForeignProgram("gnutls-serv")
    static let gnutlsClient = ForeignProgram("gnutls-cli")
    /// Of the Swift toolchain.
    static let clang = ForeignProgram("clang")
    static let node = ForeignProgram("node")
    static let python = ForeignProgram("python3")
    static let java = ForeignProgram("java")
    static let exim = ForeignProgram("exim4")
    static let postgres = ForeignProgram("postgres", in: postgresDirectories)
    static let initdb = ForeignProgram("initdb", in: postgresDirectories)
    static let psql = ForeignProgram("psql", in: postgresDirectories)
    static let setpriv = ForeignProgram("setpriv")

    /// Where Debian keeps PostgreSQL's programs, the newest version first.
    private static let postgresDirectories: [String] = {
        let parent = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
        return versions.sorted { (Int($0) ?? 0) > (Int($1) ?? 0) }.map { "\(parent)/\($0)/bin" }
    }()
    /// Wireshark on the command line.
    static let tshark = ForeignProgram("tshark")

    /// The user's path, and where Debian keeps servers.
    static let searchPath =
        (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin")
        + ":/usr/local/sbin:/usr/sbin:/sbin"

    /// Whether an absent program is a failure: the scripts and continuous integration say so.
    static let isRequired = ProcessInfo.processInfo.environment["SOCKETS_REQUIRE_PEERS"] == "1"

    /// The path, or the reason for which a row fails.
    func requirePath() throws -> String {
        guard let path else {
            throw ForeignFailure(
                description: "\(name) is not installed; Scripts/install.sh --peers installs it"
            )
        }
        return path
    }
}

extension Trait where Self == ConditionTrait {
    /// Runs a test when its programs are installed, and also when they must be: it fails then.
    static func needs(_ programs: ForeignProgram...) -> Self {
        let absent = programs.filter { $0.path == nil }.map(\.name).joined(separator: ", ")
        return .enabled(
            if: absent.isEmpty || ForeignProgram.isRequired,
            "not installed: \(absent); Scripts/install.sh --peers installs it"
        )
    }
}
