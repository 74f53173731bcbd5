// Which module may know which: the import table, and what it implies.
//
// The table is a list of what is allowed, so a new module or a new dependency has to be entered
// here, where a reviewer sees the direction of knowledge change.

/// What a module may import anywhere, and what only files in one of its folders may.
private struct ImportRow {
    let allowed: Set<String>
    var folder: (name: String, allowed: Set<String>)?
}

private let importTable: [String: ImportRow] = [
    "TLSEngine": ImportRow(
        allowed: ["Synchronization"],
        folder: ("OpenSSL", ["COpenSSL", "CTLSTransport", "CExternalKey"])
    ),
    "SocketCore": ImportRow(allowed: ["CLinux", "Glibc", "Synchronization"]),
    "Sockets": ImportRow(allowed: ["TLSEngine", "SocketCore", "Synchronization"]),
    "TLSTestKit": ImportRow(allowed: ["TLSEngine", "COpenSSL", "Glibc", "Synchronization"]),
    "TLSTestServers": ImportRow(
        allowed: ["TLSTestKit", "TLSEngine", "Sockets", "Synchronization"]
    ),
    "ObservedFacts": ImportRow(allowed: ["Sockets"]),
    "SocketsLogging": ImportRow(allowed: ["Sockets", "ObservedFacts", "Logging"]),
    "SocketsMetrics": ImportRow(
        allowed: ["Sockets", "ObservedFacts", "CoreMetrics", "Synchronization"]
    ),
    "SocketsTracing": ImportRow(allowed: ["Sockets", "ObservedFacts", "Tracing"]),
    "SocketsLifecycle": ImportRow(allowed: ["Sockets", "ServiceLifecycle"]),
    "TLSInspection": ImportRow(
        allowed: ["Sockets", "SocketCore", "TLSEngine", "Synchronization"]
    ),
    "Tooling": ImportRow(allowed: ["Sockets", "ArgumentParser", "Foundation", "Glibc"]),
    "tlsinspect": ImportRow(
        allowed: [
            "Tooling", "TLSInspection", "TLSTestKit", "TLSTestServers", "Sockets", "TLSEngine",
            "ArgumentParser", "Foundation", "Glibc", "Synchronization",
        ]
    ),
    "tlscerts": ImportRow(
        allowed: [
            "Tooling", "TLSTestKit", "TLSTestServers", "Sockets", "ArgumentParser", "Foundation",
            "Glibc",
        ]
    ),
]

/// What the C targets must not include, by the beginning of the name.
private let forbiddenIncludes: [String: [String]] = [
    "COpenSSL": ["sys/", "netinet/", "arpa/", "netdb.h", "CLinux.h", "pthread.h"],
    "CTLSTransport": ["sys/", "netinet/", "arpa/", "netdb.h", "CLinux.h"],
    "CExternalKey": [
        "sys/socket.h", "netinet/", "arpa/", "netdb.h", "CLinux.h", "CTLSTransport.h",
    ],
    "CTLSMemory": [
        "openssl/ssl.h", "sys/", "netinet/", "arpa/", "netdb.h", "CLinux.h", "CTLSTransport.h",
    ],
    "CLinux": ["openssl/", "COpenSSL.h", "CTLSTransport.h", "CTLSMemory.h"],
]

/// Modules that must not even name these, imported or not.
private let forbiddenNames: [String: Set<String>] = [
    "Sockets": ["COpenSSL", "CTLSTransport", "CLinux", "Glibc", "Foundation", "Dispatch"],
    "TLSInspection": ["COpenSSL", "CTLSTransport", "CLinux", "TLSTestKit"],
    "Tooling": ["COpenSSL", "CTLSTransport", "CLinux", "SocketCore", "TLSTestKit"],
    "tlsinspect": ["COpenSSL", "CTLSTransport", "CLinux", "SocketCore"],
    "tlscerts": ["COpenSSL", "CTLSTransport", "CLinux", "SocketCore"],
]

/// The traits of the package, and the one module whose sources may ask for each.
private let traits = [
    "Logging": "SocketsLogging", "Metrics": "SocketsMetrics", "Tracing": "SocketsTracing",
    "Lifecycle": "SocketsLifecycle",
]

let layerRules: [TidyRule] = [
    TidyRule(
        "a trait reaches the sources of its own integration alone",
        broken: [
            SourceFile("Sources/Sockets/Socket.swift", "#if Logging\nimport Logging\n#endif"),
            SourceFile("Sources/SocketsMetrics/A.swift", "#if canImport(Glibc) && !Logging"),
        ],
        kept: [
            SourceFile("Sources/SocketsLogging/A.swift", "#if Logging\n#endif"),
            SourceFile("Sources/Sockets/Socket.swift", "// #if Logging\n#if Loggings\n#endif"),
        ],
        inspect: { file in
            guard let module = file.module else { return [] }
            return file.lines.enumerated().compactMap { index, line in
                guard line.drop(while: { $0 == " " }).hasPrefix("#if") else { return nil }
                let words = line.split { !$0.isLetter }.map(String.init)
                let foreign = words.first { traits[$0].map { $0 != module } ?? false }
                return foreign.map { (index + 1, "asks for the trait \($0)") }
            }
        }
    ),
    TidyRule(
        "a module imports only what its row of the table allows",
        broken: [
            SourceFile("Sources/TLSEngine/Engine.swift", "import COpenSSL"),
            SourceFile("Sources/TLSEngine/Engine.swift", "import Glibc"),
            SourceFile("Sources/TLSEngine/OpenSSL/Handles.swift", "import CLinux"),
            SourceFile("Sources/TLSEngine/OpenSSL/Deeper/A.swift", "import SocketCore"),
            SourceFile("Sources/SocketCore/Loop.swift", "private import TLSEngine"),
            SourceFile("Sources/SocketCore/Loop.swift", "@preconcurrency import Dispatch"),
            SourceFile("Sources/Sockets/Socket.swift", "import struct Foundation.Data"),
            SourceFile("Sources/Sockets/Socket.swift", "@_implementationOnly import CLinux"),
            SourceFile("Sources/TLSTestKit/Kit.swift", "public import Sockets"),
            SourceFile("Sources/NewModule/New.swift", "import Synchronization"),
        ],
        kept: [
            SourceFile(
                "Sources/TLSEngine/OpenSSL/Handles.swift",
                "// import Glibc\nimport COpenSSL\ninternal import CTLSTransport"
            ),
            SourceFile("Sources/TLSEngine/Engine.swift", "let text = \"import Glibc\""),
            SourceFile("Sources/Sockets/Socket.swift", "public import TLSEngine"),
            SourceFile("Sources/tlsinspect/TLSInspect.swift", "import ArgumentParser"),
            SourceFile("Tests/SocketsTests/SocketTests.swift", "import Foundation"),
        ],
        inspect: importsOutsideTable
    ),
    TidyRule(
        "C targets include nothing of another layer",
        broken: [
            SourceFile("Sources/COpenSSL/COpenSSL.h", "#include <sys/socket.h>\n"),
            SourceFile("Sources/CTLSTransport/transport.c", "# include <netinet/tcp.h>\n"),
            SourceFile("Sources/CLinux/linux.c", "#include <openssl/ssl.h>\n"),
            SourceFile("Sources/CLinux/linux.c", "#include \"COpenSSL.h\"\n"),
        ],
        kept: [
            SourceFile("Sources/COpenSSL/COpenSSL.h", "#include <openssl/ssl.h>\n"),
            SourceFile("Sources/CLinux/linux.c", "#include <sys/epoll.h>\n"),
        ],
        inspect: includesOfOtherLayers
    ),
    TidyRule(
        "upper modules name no lower module they must not know",
        broken: [
            SourceFile("Sources/Sockets/Socket.swift", "let loop = CLinux.epoll()"),
            SourceFile("Sources/Sockets/Socket.swift", "COpenSSL.SSL_free(ssl)"),
            SourceFile("Sources/TLSInspection/Inspector.swift", "let pair = TLSTestKit.self"),
        ],
        kept: [
            SourceFile("Sources/Sockets/Socket.swift", "// CLinux is below.\nlet a = \"CLinux\""),
            SourceFile("Sources/SocketCore/Poller.swift", "CLinux.epoll()"),
        ],
        inspect: { file in
            guard let module = file.module, let forbidden = forbiddenNames[module] else {
                return []
            }
            return file.tokens.filter { $0.kind == .word && forbidden.contains($0.text) }
                .map { ($0.line, "\(module) names \($0.text)") }
        }
    ),
    TidyRule(
        "TLSEngine waits for nothing: no async, no tasks, no clock",
        broken: [
            SourceFile("Sources/TLSEngine/Engine.swift", "func step() async {}"),
            SourceFile("Sources/TLSEngine/Engine.swift", "await step()"),
            SourceFile("Sources/TLSEngine/Engine.swift", "Task { step() }"),
            SourceFile("Sources/TLSEngine/Engine.swift", "actor Engine {}"),
            SourceFile("Sources/TLSEngine/Engine.swift", "let now = ContinuousClock().now"),
            SourceFile("Sources/TLSEngine/OpenSSL/A.swift", "unsafe time(nil)"),
        ],
        kept: [
            SourceFile(
                "Sources/TLSEngine/Engine.swift",
                "/// Never async.\nfunc step(at time: Int64) {}\nlet a = report.time(1)"
            ),
            SourceFile("Sources/Sockets/Socket.swift", "func read() async {}"),
        ],
        inspect: waitsInEngine
    ),
]

/// The module each import names, with the index of its `import` word.
private func imports(in tokens: [Token]) -> [(line: Int, module: String)] {
    let modifiers: Set = ["public", "package", "internal", "fileprivate", "private"]
    let kinds: Set = [
        "struct", "class", "enum", "protocol", "func", "var", "let", "typealias", "actor",
    ]
    return tokens.indices.compactMap { index in
        guard tokens[index].isWord("import"), index + 1 < tokens.count else { return nil }
        // At the start of a line, or behind a modifier or an attribute.
        let before = tokens.token(before: index)
        let begins =
            tokens[index].startsLine || before.map { modifiers.contains($0.text) } == true
            || before?.isSymbol(")") == true
            || (index >= 2 && tokens[index - 2].isSymbol("@"))
        guard begins else { return nil }
        var module = tokens[index + 1]
        if kinds.contains(module.text), index + 2 < tokens.count { module = tokens[index + 2] }
        return (tokens[index].line, module.text)
    }
}

private func importsOutsideTable(_ file: SourceFile) -> [(line: Int, message: String)] {
    guard file.isSwift, let module = file.module else { return [] }
    guard let row = importTable[module] else {
        return [(1, "\(module) has no row in the import table of LayerRules.swift")]
    }
    var allowed = row.allowed
    if let folder = row.folder, file.isIn("Sources/\(module)/\(folder.name)") {
        allowed.formUnion(folder.allowed)
    }
    return imports(in: file.tokens).filter { !allowed.contains($0.module) }
        .map { ($0.line, "\(module) must not import \($0.module) here") }
}

private func includesOfOtherLayers(_ file: SourceFile) -> [(line: Int, message: String)] {
    guard let module = file.module, let forbidden = forbiddenIncludes[module] else { return [] }
    return file.lines.enumerated().compactMap { index, line in
        let directive = line.filter { $0 != " " && $0 != "\t" }
        guard directive.hasPrefix("#include") else { return nil }
        let name = directive.dropFirst("#include".count + 1)
        guard forbidden.contains(where: { name.hasPrefix($0) }) else { return nil }
        return (index + 1, "\(module) must not include \(name.dropLast())")
    }
}

private func waitsInEngine(_ file: SourceFile) -> [(line: Int, message: String)] {
    guard file.isSwift, file.module == "TLSEngine" else { return [] }
    let words: Set = [
        "async", "await", "actor", "Task", "TaskGroup", "ContinuousClock", "SuspendingClock",
    ]
    let calls: Set = ["time", "gettimeofday", "clock_gettime"]
    return file.tokens.indices.compactMap { index in
        let token = file.tokens[index]
        guard token.kind == .word else { return nil }
        if words.contains(token.text) {
            return (token.line, "the engine must not say \(token.text)")
        }
        let before = file.tokens.token(before: index)
        let isCall =
            calls.contains(token.text) && file.tokens.token(after: index)?.isSymbol("(") == true
            && before?.isSymbol(".") != true && before?.isWord("func") != true
        return isCall ? (token.line, "the engine must not read the clock by \(token.text)()") : nil
    }
}
