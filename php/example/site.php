<?php

// Shared by all pages: settings, sessions, forms, and the Snug client.

declare(strict_types=1);

namespace Example;

use GuzzleHttp\Client;
use GuzzleHttp\Psr7\HttpFactory;
use Snug\Snug;
use Snug\TokenIssuer;

require_once __DIR__ . '/../autoload.php';

/** The chat's room. */
const ROOM = 'lobby';

/** The user id of the site itself. A user's id always starts with `user:` (see sign-in.php), so none equals it. */
const SITE = 'site';

/** The lifetime of a user's token. Each renewal also keeps the PHP session alive. */
const TOKEN_SECONDS = 600;

/** Returns a setting from the environment. */
function setting(string $name, ?string $default = null): string
{
    $value = getenv($name);
    return $value !== false && $value !== '' ? $value : $default ?? throw new \RuntimeException("$name is not set");
}

/** Returns the URL at which browsers and this site reach the Worker. */
function snugUrl(): string
{
    return rtrim(setting('SNUG_URL', 'http://127.0.0.1:8787'), '/');
}

function tokens(): TokenIssuer
{
    return new TokenIssuer(setting('JWT_SECRET'));
}

/** Returns a client that publishes in the site's name. */
function snug(): Snug
{
    $factory = new HttpFactory();
    return new Snug(snugUrl(), tokens(), new Client(['timeout' => 5]), $factory, $factory, SITE);
}

/** Starts the user's session. Cookies ignore the port, so the browser sends this one to Snug on the same host too. */
function openSession(): void
{
    session_start([
        'use_strict_mode' => true,
        'cookie_httponly' => true,
        'cookie_samesite' => 'Lax',
        'cookie_secure' => isset($_SERVER['HTTPS']),
    ]);
}

/**
 * Returns the signed-in user, or responds with 401. Does not start a session for users without one.
 *
 * @return array{id: string, name: string, auth: string}
 */
function requireUser(): array
{
    if (isset($_COOKIE[session_name()])) {
        openSession();
    }
    return currentUser() ?? respond(401);
}

/**
 * Returns the signed-in user, or null.
 *
 * @return array{id: string, name: string, auth: string}|null
 */
function currentUser(): ?array
{
    return $_SESSION['user'] ?? null;
}

/** Returns the session's CSRF token, which every form includes. */
function csrfToken(): string
{
    return $_SESSION['csrf'] ??= bin2hex(random_bytes(16));
}

/** Rejects requests that were not sent by one of the site's own forms. */
function requireCsrfToken(): void
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        respond(405);
    }
    $sent = $_POST['csrf'] ?? null;
    if (!is_string($sent) || !hash_equals(csrfToken(), $sent)) {
        respond(403);
    }
}

/** Responds with a status and an empty body. */
function respond(int $status): never
{
    http_response_code($status);
    exit;
}

/** Redirects to the home page. */
function redirectHome(): never
{
    header('Location: ./', true, 303);
    exit;
}

/** Escapes text for HTML. */
function e(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5);
}

/** Returns the name in a user id. */
function nameOf(string $id): string
{
    return preg_replace('/^user:/', '', $id);
}

/** Sends the headers of a page. Scripts may come only from this site and from Snug; inline scripts are blocked. */
function sendHeaders(): void
{
    $snug = snugUrl();
    $socket = preg_replace('/^http/', 'ws', $snug);
    header("Content-Security-Policy: default-src 'none'; script-src 'self' $snug; style-src 'self'; "
        . "connect-src 'self' $snug $socket; img-src data:; form-action 'self'; base-uri 'none'; "
        . "frame-ancestors 'none'");
    header('Content-Type: text/html; charset=utf-8');
    header('Cache-Control: no-store');
    header('Referrer-Policy: same-origin');
    header('X-Content-Type-Options: nosniff');
}
