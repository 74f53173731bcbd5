// swift-tools-version: 6.3
import PackageDescription

// One list of settings, applied to every Swift target. Warnings become errors in Scripts/ and CI,
// not here, so that a newer compiler breaks nobody's build.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
]

let package = Package(
    name: "swift-sockets",
    products: [
        .library(name: "Sockets", targets: ["Sockets"]),
        .library(name: "TLSEngine", targets: ["TLSEngine"]),
        .library(name: "TLSTestKit", targets: ["TLSTestKit"]),
        .library(name: "TLSTestServers", targets: ["TLSTestServers"]),
        .library(name: "TLSInspection", targets: ["TLSInspection"]),
        .library(name: "SocketsLogging", targets: ["SocketsLogging"]),
        .library(name: "SocketsMetrics", targets: ["SocketsMetrics"]),
        .library(name: "SocketsTracing", targets: ["SocketsTracing"]),
        .library(name: "SocketsLifecycle", targets: ["SocketsLifecycle"]),
        .executable(name: "tlsinspect", targets: ["tlsinspect"]),
        .executable(name: "tlscerts", targets: ["tlscerts"]),
    ],
    traits: [
        .trait(
            name: "Logging",
            description: "SocketsLogging: events as log messages, by swift-log"
        ),
        .trait(name: "Metrics", description: "SocketsMetrics: events as metrics, by swift-metrics"),
        .trait(
            name: "Tracing",
            description: "SocketsTracing: connections as spans, by swift-distributed-tracing"
        ),
        .trait(
            name: "Lifecycle",
            description: "SocketsLifecycle: a listener as a service, by swift-service-lifecycle"
        ),
        .default(enabledTraits: []),
    ],
    dependencies: [
        // Executables only; library targets depend on the system's OpenSSL alone.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // Each for the one trait of its name: without it, SwiftPM does not even resolve it.
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // C: the system's OpenSSL, the buffer BIO, keys that are elsewhere, OpenSSL's memory, and what
        // Glibc's own module lacks.
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .target(name: "CTLSTransport", dependencies: ["COpenSSL"]),
        .target(name: "CExternalKey", dependencies: ["COpenSSL"]),
        .target(name: "CTLSMemory", dependencies: ["COpenSSL"]),
        .target(name: "CLinux"),

        // Libraries, from the bytes up.
        .target(
            name: "TLSEngine",
            dependencies: ["COpenSSL", "CTLSTransport", "CExternalKey", "CTLSMemory"],
            swiftSettings: settings
        ),
        .target(name: "SocketCore", dependencies: ["CLinux"], swiftSettings: settings),
        .target(
            name: "Sockets",
            dependencies: ["TLSEngine", "SocketCore"],
            swiftSettings: settings
        ),
        .target(
            name: "TLSTestKit",
            dependencies: ["TLSEngine", "COpenSSL"],
            swiftSettings: settings
        ),
        .target(
            name: "TLSTestServers",
            dependencies: ["Sockets", "TLSTestKit", "TLSEngine"],
            swiftSettings: settings
        ),
        .target(
            name: "TLSInspection",
            dependencies: ["Sockets", "SocketCore", "TLSEngine"],
            swiftSettings: settings
        ),

        // Integrations: empty without the trait of their name.
        .target(name: "ObservedFacts", dependencies: ["Sockets"], swiftSettings: settings),
        .target(
            name: "SocketsLogging",
            dependencies: [
                "ObservedFacts", "Sockets",
                .product(
                    name: "Logging",
                    package: "swift-log",
                    condition: .when(traits: ["Logging"])
                ),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "SocketsMetrics",
            dependencies: [
                "ObservedFacts", "Sockets",
                .product(
                    name: "CoreMetrics",
                    package: "swift-metrics",
                    condition: .when(traits: ["Metrics"])
                ),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "SocketsTracing",
            dependencies: [
                "ObservedFacts", "Sockets",
                .product(
                    name: "Tracing",
                    package: "swift-distributed-tracing",
                    condition: .when(traits: ["Tracing"])
                ),
            ],
            swiftSettings: settings
        ),
        .target(
            name: "SocketsLifecycle",
            dependencies: [
                "Sockets",
                .product(
                    name: "ServiceLifecycle",
                    package: "swift-service-lifecycle",
                    condition: .when(traits: ["Lifecycle"])
                ),
            ],
            swiftSettings: settings
        ),

        // Tools, and what they have in common.
        .target(
            name: "Tooling",
            dependencies: [
                "Sockets", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "tlsinspect",
            dependencies: [
                "Tooling", "TLSInspection", "TLSTestKit", "Sockets",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings
        ),
        .executableTarget(
            name: "tlscerts",
            dependencies: [
                "Tooling", "TLSTestServers", "TLSTestKit", "Sockets",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings
        ),

        // What is fuzzed: no product depends on it, so only this package builds it. Scripts/fuzz.sh
        // joins it to libFuzzer, FuzzTests replays the corpora.
        .target(name: "CFuzzSupport", dependencies: ["COpenSSL"], path: "Fuzzing/Support"),
        .target(
            name: "FuzzTargets",
            dependencies: [
                "CFuzzSupport", "COpenSSL", "SocketCore", "Sockets", "TLSEngine", "TLSInspection",
                "TLSTestKit",
            ],
            path: "Fuzzing/Targets",
            swiftSettings: settings
        ),

        // Tests, one target a module, then the suites that look at the whole.
        .testTarget(
            name: "TLSEngineTests",
            dependencies: ["TLSEngine", "TLSTestKit", "COpenSSL", "CTLSMemory"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "SocketCoreTests",
            dependencies: ["SocketCore", "CLinux"],
            swiftSettings: settings
        ),
        .target(name: "CMemoryGauge", path: "Tests/CMemoryGauge"),
        // A process that tests of a fleet kill.
        .executableTarget(
            name: "FleetMember",
            dependencies: ["Sockets"],
            path: "Tests/FleetMember",
            swiftSettings: settings
        ),
        .testTarget(
            name: "SocketsTests",
            dependencies: [
                "Sockets", "SocketCore", "TLSEngine", "TLSTestKit", "CMemoryGauge", "CTLSMemory",
                "FleetMember", "ToolFixtures",
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "SeedConformanceTests",
            dependencies: ["Sockets", "SocketCore", "TLSTestKit"],
            exclude: ["sockets-api.webidl"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "TLSTestKitTests",
            dependencies: ["TLSTestKit", "TLSEngine"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "FaultCatalogueTests",
            dependencies: ["Sockets", "TLSEngine", "TLSTestKit", "TLSTestServers"],
            swiftSettings: settings
        ),
        // How tests of the tools run them, and hold their JSON against its schema.
        .target(name: "ToolFixtures", path: "Tests/ToolFixtures", swiftSettings: settings),
        .testTarget(
            name: "TLSInspectionTests",
            dependencies: [
                "TLSInspection", "tlsinspect", "Tooling", "ToolFixtures", "Sockets", "SocketCore",
                "TLSTestKit", "CMemoryGauge",
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "BrowserTests",
            dependencies: [
                "TLSInspection", "tlsinspect", "Tooling", "ToolFixtures", "Sockets", "TLSTestKit",
            ],
            exclude: ["browser.py"],
            swiftSettings: settings
        ),
        .testTarget(
            name: "TLSTestServersTests",
            dependencies: [
                "TLSTestServers", "tlscerts", "Tooling", "ToolFixtures", "Sockets", "TLSEngine",
                "TLSTestKit",
            ],
            swiftSettings: settings
        ),
        .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets"], swiftSettings: settings),
        .testTarget(
            name: "InteropTests",
            dependencies: ["Sockets", "TLSEngine", "TLSInspection", "TLSTestKit"],
            exclude: ["Peers"],
            swiftSettings: settings
        ),
        .testTarget(name: "PackageTests", exclude: ["Fixtures"], swiftSettings: settings),
        .testTarget(name: "TidyTests", swiftSettings: settings),
    ]
)
