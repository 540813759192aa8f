<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests;

use Illuminate\Broadcasting\BroadcastManager;
use Illuminate\Contracts\Console\Kernel as ConsoleKernel;
use InvalidArgumentException;
use Snug\Laravel\Facades\Snug as SnugFacade;
use Snug\Laravel\SnugBroadcaster;
use Snug\Laravel\SnugManager;
use Snug\Snug;
use Snug\TokenIssuer;
use Snug\Webhook;

/** Tests the service provider, which Laravel discovers, and the settings. */
final class SettingsTest extends LaravelTestCase
{
    public function testTheConnectionNeedsNoConfiguration(): void
    {
        self::assertInstanceOf(SnugBroadcaster::class, $this->app->make(BroadcastManager::class)->connection('snug'));
    }

    public function testTheApplicationMayConfigureTheConnection(): void
    {
        $this->boot(['broadcasting.connections.rooms' => ['driver' => 'snug'], 'broadcasting.default' => 'rooms']);
        self::assertInstanceOf(SnugBroadcaster::class, $this->app->make(BroadcastManager::class)->connection());
    }

    public function testClassesOfThePhpPackageAreInjected(): void
    {
        $this->app['config']->set('snug.webhook.secret', 'whsec_' . base64_encode(str_repeat('x', 32)));
        self::assertSame($this->app->make(SnugManager::class)->client(), $this->app->make(Snug::class));
        self::assertInstanceOf(TokenIssuer::class, $this->app->make(TokenIssuer::class));
        self::assertInstanceOf(Webhook::class, $this->app->make(Webhook::class));
        self::assertSame('lobby', SnugFacade::room('lobby')->name);
        // The alias that composer.json registers.
        self::assertSame('lobby', \Snug::room('lobby')->name);
    }

    public function testItWorksWithCachedConfiguration(): void
    {
        $console = $this->app->make(ConsoleKernel::class);
        self::assertSame(0, $console->call('config:cache'), $console->output());
        self::assertFileExists("$this->data/config.php");
        $this->boot();
        self::assertTrue($this->app->configurationIsCached());
        self::assertSame(['driver' => 'snug'], $this->app['config']->get('broadcasting.connections.snug'));
        self::assertSame(['receive', 'history', 'signal'], $this->app['config']->get('snug.capabilities.private'));
        self::assertTrue($this->app['router']->has('snug.webhook'));
        $this->actAs('ann');
        self::assertSame('ann', self::claimsOf($this->token('private-orders.ann'))['sub']);
    }

    /** @dataProvider invalid */
    public function testAnInvalidSettingIsNamed(array $settings, \Closure $use, string $explanation): void
    {
        $this->app['config']->set($settings);
        $this->expectException(InvalidArgumentException::class);
        $this->expectExceptionMessage($explanation);
        $use();
    }

    public static function invalid(): iterable
    {
        $client = static fn () => SnugFacade::client();
        $webhook = static fn () => SnugFacade::webhook();
        yield 'no URL' => [['snug.url' => null], $client, "SNUG_URL is not set: it is the Worker's URL"];
        yield 'a URL without a scheme' => [['snug.url' => 'chat.example.com'], $client, 'SNUG_URL must begin with'];
        yield 'no secret' => [['snug.jwt.secret' => ''], $client, 'SNUG_JWT_SECRET is not set'];
        yield 'a short secret' => [['snug.jwt.secret' => 'short'], $client, 'at least 32 bytes'];
        yield 'an algorithm' => [['snug.jwt.algorithm' => 'RS256'], $client, 'HS256, HS384 or HS512; it is \'RS256\''];
        yield 'no webhook secret' => [['snug.webhook.secret' => null], $webhook, 'SNUG_WEBHOOK_SECRET is not set'];
    }

    public function testTheAlgorithmIssuerAndAudienceAreSettings(): void
    {
        $this->app['config']->set([
            'snug.jwt.algorithm' => 'HS512',
            'snug.jwt.issuer' => 'https://shop.example',
            'snug.jwt.audience' => 'snug',
        ]);
        $token = $this->token();
        $header = json_decode((string) base64_decode(explode('.', $token)[0]), true);
        $claims = self::claimsOf($token);
        self::assertSame(['HS512', 'https://shop.example', 'snug'], [$header['alg'], $claims['iss'], $claims['aud']]);
    }
}
