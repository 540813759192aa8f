<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests;

use Illuminate\Contracts\Console\Kernel as ConsoleKernel;
use Illuminate\Contracts\Http\Kernel as HttpKernel;
use Illuminate\Filesystem\Filesystem;
use Illuminate\Foundation\Application;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Facade;
use PHPUnit\Framework\TestCase;
use Snug\Laravel\Tests\App\TestApplication;
use Snug\Laravel\Tests\App\Users;
use Snug\Tests\LiveWorker;
use Symfony\Component\HttpFoundation\Response;

/** A test in a booted Laravel application, whose Worker is the one under test. */
abstract class LaravelTestCase extends TestCase
{
    protected Application $app;
    protected string $data;

    /** The application's folder. */
    protected string $site = __DIR__ . '/site';

    protected function setUp(): void
    {
        $this->data = sys_get_temp_dir() . '/snug-laravel-' . bin2hex(random_bytes(8));
        $this->boot();
    }

    protected function tearDown(): void
    {
        $this->app->flush();
        Facade::clearResolvedInstances();
        (new Filesystem())->deleteDirectory($this->data);
        restore_error_handler();
        restore_exception_handler();
    }

    /**
     * Boots the application, again if it is booted already.
     *
     * @param array<string, mixed> $settings Replace those of the application.
     */
    protected function boot(array $settings = []): void
    {
        Facade::clearResolvedInstances();
        $this->app = TestApplication::create($this->data, $this->site);
        $this->app->make(ConsoleKernel::class)->bootstrap();
        $this->app['config']->set($settings);
    }

    /** Signs in, for all requests of the test. */
    protected function actAs(string $user): void
    {
        $this->app['auth']->setUser((new Users())->retrieveById($user));
    }

    /**
     * Sends a request to the application.
     *
     * @param array<string, mixed>  $fields
     * @param array<string, string> $headers
     */
    protected function post(string $path, array $fields = [], string $body = '', array $headers = []): Response
    {
        $request = Request::create($path, 'POST', $fields, [], [], ['HTTP_ACCEPT' => 'application/json'], $body);
        $request->headers->add($headers);
        return $this->app->make(HttpKernel::class)->handle($request);
    }

    /** Asks `/broadcasting/auth` for a token, and returns it. */
    protected function token(?string $channel = null, array $fields = []): string
    {
        $response = $this->post('/broadcasting/auth', $fields + array_filter(['channel_name' => $channel]));
        self::assertSame(200, $response->getStatusCode(), (string) $response->getContent());
        $json = json_decode((string) $response->getContent(), true);
        self::assertSame(['token'], array_keys($json));
        return $json['token'];
    }

    /** Returns the code of the Worker's answer to a join request with a token: `upgrade_required` if it is accepted. */
    protected static function tryToken(string $room, string $token): string
    {
        return LiveWorker::tryToken(LiveWorker::env('SNUG_URL'), $room, $token);
    }

    /** @return array<string, mixed> The claims of a token. */
    protected static function claimsOf(string $token): array
    {
        return json_decode((string) base64_decode(strtr(explode('.', $token)[1], '-_', '+/')), true);
    }
}
