// What is measured, and against whom.

/// What a server is asked to speak.
enum Kind: String {
    case ecdsa, rsa, plain
}

/// One row of the table.
struct Case {
    /// The name on the command line and in the results.
    let name: String
    /// The row's title.
    let title: String
    let kind: Kind
    /// The load's arguments.
    let load: [String]

    static let all = [
        Case("handshake-full", "full handshake, ECDSA P-256", .ecdsa, "--mode handshake-full"),
        Case("handshake-rsa", "full handshake, RSA 2048", .rsa, "--mode handshake-full"),
        Case("handshake-resume", "resumed handshake", .ecdsa, "--mode handshake-resume"),
        Case(
            "echo-64-1",
            "echo 64 B, 1 connection",
            .ecdsa,
            "--mode echo --size 64 --connections 1"
        ),
        Case(
            "echo-64",
            "echo 64 B, 32 connections",
            .ecdsa,
            "--mode echo --size 64 --connections 32"
        ),
        Case("echo-1k", "echo 1 KiB", .ecdsa, "--mode echo --size 1024 --connections 32"),
        Case("echo-16k", "echo 16 KiB", .ecdsa, "--mode echo --size 16384 --connections 32"),
        Case("bulk-in", "bulk in, MB", .ecdsa, "--mode bulk-in --connections 4"),
        Case("bulk-out", "bulk out, MB", .ecdsa, "--mode bulk-out --connections 4"),
        Case(
            "plain-echo-64",
            "echo 64 B without TLS, 32 connections",
            .plain,
            "--mode echo --size 64 --connections 32 --plain"
        ),
    ]

    private init(_ name: String, _ title: String, _ kind: Kind, _ load: String) {
        self.name = name
        self.title = title
        self.kind = kind
        self.load = load.split(separator: " ").map { String($0) }
    }

    /// The cases of these names, in the table's order.
    static func named(_ names: [String]) throws -> [Case] {
        for name in names where !all.contains(where: { $0.name == name }) {
            let known = all.map { $0.name }.joined(separator: ", ")
            throw BenchError("no case '\(name)' (the cases: \(known))")
        }
        return names.isEmpty ? all : all.filter { names.contains($0.name) }
    }
}

/// A program that speaks the bench protocol.
struct Contender {
    /// The name in the results.
    let name: String
    /// The column's title.
    let title: String
    let path: String

    static let referenceName = "reference"
    static let ownName = "sockets"

    func command(_ kind: Kind, _ places: Places, threads: Int = 1) -> [String] {
        var line = [path, "--port", "0", "--threads", "\(threads)"]
        let name = kind == .plain ? Kind.ecdsa.rawValue : kind.rawValue
        line += ["--cert", "\(places.certificates)/\(name).pem"]
        line += ["--key", "\(places.certificates)/\(name).key"]
        if kind == .plain { line.append("--plain") }
        return line
    }

    static func own(_ places: Places) throws -> Contender {
        Contender(
            name: ownName,
            title: "this package",
            path: try places.program("sockets-bench-server")
        )
    }

    static func reference(_ places: Places) throws -> Contender {
        Contender(
            name: referenceName,
            title: "C reference",
            path: try places.program("sockets-bench-reference")
        )
    }
}
