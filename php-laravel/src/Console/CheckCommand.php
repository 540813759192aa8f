<?php

declare(strict_types=1);

namespace Snug\Laravel\Console;

use GuzzleHttp\Client;
use GuzzleHttp\Exception\GuzzleException;
use Illuminate\Console\Command;
use Illuminate\Contracts\Config\Repository;
use Illuminate\Routing\Router;
use InvalidArgumentException;
use Snug\Capability;
use Snug\Laravel\SnugManager;
use Snug\SnugException;

/** `php artisan snug:check`: checks the settings against the running Worker. */
final class CheckCommand extends Command
{
    /** The room in whose name the checks are made. Nothing is stored in it. */
    private const ROOM = 'public-snug-check';

    protected $signature = 'snug:check';

    protected $description = 'Check that Snug works: settings, Worker, allowed origin and routes';

    public function handle(SnugManager $snug, Repository $config, Router $router): int
    {
        $checks = [
            fn (): string => $this->checkWorker($snug),
            fn (): string => $this->checkOrigin($snug, $config),
            fn (): string => self::checkConnection($config),
            fn (): string => self::checkAuthRoute($router),
            fn (): string => self::checkWebhook($snug, $config, $router),
        ];
        $failures = 0;
        foreach ($checks as $check) {
            try {
                $this->line("<info>✓</info> {$check()}");
            } catch (CheckFailed | InvalidArgumentException | SnugException $e) {
                $failures++;
                $this->line("<fg=red>✗</> {$e->getMessage()}");
            }
        }
        return $failures === 0 ? self::SUCCESS : self::FAILURE;
    }

    /** Reads the status of a room, for which the Worker verifies a token. */
    private function checkWorker(SnugManager $snug): string
    {
        $snug->room(self::ROOM)->status();
        return "the Worker at {$snug->url()} accepts tokens of this application";
    }

    /** Sends the request with which a page connects, as far as the upgrade. */
    private function checkOrigin(SnugManager $snug, Repository $config): string
    {
        $parts = parse_url((string) $config->get('app.url'));
        if (!isset($parts['scheme'], $parts['host'])) {
            throw new CheckFailed('APP_URL must be the address of your pages, such as https://example.com');
        }
        $origin = "{$parts['scheme']}://{$parts['host']}" . (isset($parts['port']) ? ":{$parts['port']}" : '');
        $token = $snug->tokens()->mint('snug-check', [self::ROOM => [Capability::Receive]], 60);
        try {
            $response = (new Client(['http_errors' => false, 'timeout' => (float) $config->get('snug.timeout')]))
                ->get("{$snug->url()}/v1/rooms/" . self::ROOM . '/socket', [
                    'headers' => ['Authorization' => "Bearer $token", 'Origin' => $origin],
                ]);
        } catch (GuzzleException $e) {
            throw new CheckFailed("the Worker cannot be reached: {$e->getMessage()}");
        }
        $problem = json_decode((string) $response->getBody(), true);
        return match ($problem['code'] ?? null) {
            // Everything but the WebSocket itself was accepted.
            'upgrade_required' => "pages of $origin may connect",
            'origin_forbidden' => throw new CheckFailed(
                "pages of $origin (APP_URL) may not connect: add it to the Worker's ALLOWED_ORIGINS",
            ),
            default => throw new CheckFailed(
                'pages cannot connect: ' . ($problem['detail'] ?? "status {$response->getStatusCode()}"),
            ),
        };
    }

    private static function checkConnection(Repository $config): string
    {
        $connection = $config->get('broadcasting.default');
        $driver = $config->get("broadcasting.connections.$connection.driver");
        if ($driver !== 'snug') {
            throw new CheckFailed(
                "events are broadcast over '$connection': set " . BroadcastVariable::name() . '=snug in .env',
            );
        }
        return "events are broadcast over the connection '$connection'";
    }

    private static function checkAuthRoute(Router $router): string
    {
        foreach ($router->getRoutes() as $route) {
            if (str_ends_with($route->uri(), 'broadcasting/auth')) {
                return "Echo gets its tokens from /{$route->uri()}";
            }
        }
        throw new CheckFailed(
            'the route /broadcasting/auth is missing: in Laravel 11 and newer, pass `channels:` to withRouting() in '
                . 'bootstrap/app.php; before, enable App\Providers\BroadcastServiceProvider in config/app.php',
        );
    }

    private static function checkWebhook(SnugManager $snug, Repository $config, Router $router): string
    {
        if (!$config->get('snug.webhook.secret')) {
            return 'webhooks are off: SNUG_WEBHOOK_SECRET is not set';
        }
        $snug->webhook();
        if (!$router->has('snug.webhook')) {
            throw new CheckFailed('the webhook route is missing: run `php artisan route:clear`');
        }
        return 'webhooks are received: set WEBHOOK_URL of the Worker to ' . route('snug.webhook');
    }
}
