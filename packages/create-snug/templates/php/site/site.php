<?php

// Shared by all pages: settings, the session, and the tokens.

declare(strict_types=1);

use Snug\TokenIssuer;

require_once __DIR__ . '/vendor/autoload.php';

/** The chat's room. */
const ROOM = 'lobby';

/** The lifetime of a user's token. Each renewal also keeps the session alive. */
const TOKEN_SECONDS = 600;

/** Returns a setting: from the environment, or in development from .dev.vars, which the Worker reads, too. */
function setting(string $name, ?string $default = null): string
{
    static $development = null;
    $file = __DIR__ . '/../.dev.vars';
    $development ??= PHP_SAPI === 'cli-server' && is_file($file) ? parse_ini_file($file, false, INI_SCANNER_RAW) : [];
    $value = getenv($name) ?: $development[$name] ?? $default;
    return $value ?: throw new RuntimeException("$name is not set");
}

/** Returns the URL at which browsers reach the Worker. */
function snugUrl(): string
{
    return rtrim(setting('SNUG_URL', 'http://127.0.0.1:8787'), '/');
}

/** Returns a token with which a user joins the room. */
function mintToken(string $user): string
{
    return (new TokenIssuer(setting('JWT_SECRET')))->mint($user, [ROOM], TOKEN_SECONDS);
}

/** Starts the user's session. */
function openSession(): void
{
    session_start([
        'use_strict_mode' => true,
        'cookie_httponly' => true,
        'cookie_samesite' => 'Lax',
        'cookie_secure' => isset($_SERVER['HTTPS']),
    ]);
}

/** Returns the id of the signed-in user, or null. */
function currentUser(): ?string
{
    return $_SESSION['user'] ?? null;
}

/** Escapes text for HTML. */
function e(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5);
}
