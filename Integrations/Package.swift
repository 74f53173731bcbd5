// swift-tools-version: 6.3
// A package of its own that switches every trait on, so that the tests of the integrations need no second
// build of everything, and are what a user's package is.
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
    name: "swift-sockets-integrations",
    dependencies: [
        .package(
            name: "swift-sockets",
            path: "..",
            traits: ["Logging", "Metrics", "Tracing", "Lifecycle"]
        ),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-distributed-tracing", from: "1.7.3"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // The programs of the article "Logs, metrics, traces".
        .executableTarget(
            name: "observed-echo",
            dependencies: [
                .product(name: "Sockets", package: "swift-sockets"),
                .product(name: "SocketsLogging", package: "swift-sockets"),
                .product(name: "SocketsMetrics", package: "swift-sockets"),
                .product(name: "SocketsTracing", package: "swift-sockets"),
                .product(name: "SocketsLifecycle", package: "swift-sockets"),
                .product(name: "TLSTestKit", package: "swift-sockets"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                .product(name: "Sockets", package: "swift-sockets"),
                .product(name: "SocketsLogging", package: "swift-sockets"),
                .product(name: "SocketsMetrics", package: "swift-sockets"),
                .product(name: "SocketsTracing", package: "swift-sockets"),
                .product(name: "SocketsLifecycle", package: "swift-sockets"),
                .product(name: "TLSTestKit", package: "swift-sockets"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "InMemoryLogging", package: "swift-log"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "MetricsTestKit", package: "swift-metrics"),
                .product(name: "Tracing", package: "swift-distributed-tracing"),
                .product(name: "InMemoryTracing", package: "swift-distributed-tracing"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings
        ),
    ]
)
