<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests;

use Illuminate\Contracts\Console\Kernel as ConsoleKernel;
use Illuminate\Filesystem\Filesystem;
use Illuminate\Routing\RouteCollection;
use Snug\Tests\LiveWorker;

/** Tests `snug:install` and `snug:check` against the built Worker. */
final class CommandTest extends LaravelTestCase
{
    private const WEBHOOK_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

    protected function setUp(): void
    {
        parent::setUp();
        // An origin that the Worker under test allows.
        $this->app['config']->set('app.url', 'http://allowed.example/shop');
    }

    /** @return array{int, string} The exit code and the output. */
    private function artisan(string $command, array $options = []): array
    {
        $console = $this->app->make(ConsoleKernel::class);
        $code = $console->call($command, $options + ['--no-interaction' => true]);
        return [$code, $console->output()];
    }

    /**
     * Boots a copy of the application with these files.
     *
     * @param array<string, string> $files
     * @param array<string, mixed>  $settings
     */
    private function bootCopy(array $files = [], array $settings = []): void
    {
        (new Filesystem())->copyDirectory(__DIR__ . '/site', "$this->data/copy");
        $this->site = "$this->data/copy";
        foreach ($files as $name => $text) {
            @mkdir(dirname("$this->site/$name"), 0755, true);
            file_put_contents("$this->site/$name", $text);
        }
        $this->boot($settings + ['app.url' => 'http://allowed.example']);
    }

    private function read(string $name): string
    {
        return (string) file_get_contents("$this->site/$name");
    }

    public function testCheckPassesIfEverythingWorks(): void
    {
        [$code, $output] = $this->artisan('snug:check');
        self::assertSame(0, $code, $output);
        self::assertStringContainsString('✓ the Worker at ' . LiveWorker::env('SNUG_URL') . ' accepts tokens', $output);
        self::assertStringContainsString('✓ pages of http://allowed.example may connect', $output);
        self::assertStringContainsString("✓ events are broadcast over the connection 'snug'", $output);
        self::assertStringContainsString('✓ Echo gets its tokens from /broadcasting/auth', $output);
        self::assertStringContainsString('webhooks are off', $output);
    }

    public function testCheckNamesTheWebhookUrl(): void
    {
        $this->app['config']->set('snug.webhook.secret', self::WEBHOOK_SECRET);
        [, $output] = $this->artisan('snug:check');
        self::assertStringContainsString('set WEBHOOK_URL of the Worker to http', $output);
        self::assertStringContainsString('/snug/webhook', $output);
    }

    /** @dataProvider faults */
    public function testCheckSaysWhatIsWrong(array $settings, string $explanation): void
    {
        $this->app['config']->set($settings);
        [$code, $output] = $this->artisan('snug:check');
        self::assertSame(1, $code);
        self::assertStringContainsString("✗ $explanation", $output);
        self::assertStringNotContainsString(LiveWorker::env('JWT_SECRET'), $output);
    }

    public static function faults(): iterable
    {
        yield 'no URL' => [['snug.url' => null], 'SNUG_URL is not set'];
        yield 'no secret' => [['snug.jwt.secret' => null], 'SNUG_JWT_SECRET is not set'];
        yield 'another secret' => [['snug.jwt.secret' => str_repeat('x', 32)], 'token_invalid: '];
        yield 'no Worker' => [['snug.url' => 'http://127.0.0.1:1'], 'http://127.0.0.1:1 cannot be reached'];
        yield 'an origin' => [['app.url' => 'http://other.example'], 'pages of http://other.example (APP_URL) may not'];
        yield 'no origin' => [['app.url' => null], 'APP_URL must be the address'];
        yield 'another connection' => [['broadcasting.default' => 'log'], "events are broadcast over 'log': set "];
        yield 'a webhook secret' => [['snug.webhook.secret' => 'secret'], 'a webhook secret must be whsec_'];
    }

    public function testCheckMissesTheAuthRoute(): void
    {
        $this->app['router']->setRoutes(new RouteCollection());
        [$code, $output] = $this->artisan('snug:check');
        self::assertSame(1, $code);
        self::assertStringContainsString('✗ the route /broadcasting/auth is missing', $output);
    }

    public function testInstallWritesTheSettingsAndTheEchoAndChecks(): void
    {
        $this->bootCopy([
            '.env' => "APP_NAME=Shop\nBROADCAST_DRIVER=log\n",
            'config/broadcasting.php' => "<?php return ['default' => env('BROADCAST_DRIVER', 'null'), "
                . "'connections' => ['null' => ['driver' => 'null'], 'log' => ['driver' => 'log']]];",
        ], ['snug.url' => null, 'snug.jwt.secret' => null]);
        $url = LiveWorker::env('SNUG_URL');
        [$code, $output] = $this->artisan('snug:install', [
            '--url' => $url,
            '--secret' => LiveWorker::env('JWT_SECRET'),
            '--webhook-secret' => self::WEBHOOK_SECRET,
        ]);
        self::assertSame(0, $code, $output);
        self::assertSame(implode("\n", [
            'APP_NAME=Shop',
            'BROADCAST_DRIVER=snug',
            "SNUG_URL=$url",
            'SNUG_JWT_SECRET=' . LiveWorker::env('JWT_SECRET'),
            'SNUG_WEBHOOK_SECRET=' . self::WEBHOOK_SECRET,
            'VITE_SNUG_URL="${SNUG_URL}"',
            '',
        ]), $this->read('.env'));
        self::assertStringContainsString('broadcaster: SnugConnector', $this->read('resources/js/echo.js'));
        self::assertStringContainsString("env('SNUG_JWT_SECRET')", $this->read('config/snug.php'));
        self::assertStringContainsString('✓ the Worker', $output);
        self::assertStringContainsString('npm install laravel-echo snug-client', $output);
        self::assertStringNotContainsString(LiveWorker::env('JWT_SECRET'), $output);
    }

    public function testInstallKeepsWhatIsThere(): void
    {
        $env = "SNUG_URL=https://chat.example\nVITE_SNUG_URL=https://other.example";
        $this->bootCopy([
            '.env' => "$env\n",
            'config/snug.php' => '<?php return [];',
            'resources/js/echo.js' => '// mine',
        ]);
        [, $output] = $this->artisan('snug:install');
        self::assertSame("$env\nBROADCAST_CONNECTION=snug\n", $this->read('.env'));
        self::assertSame('// mine', $this->read('resources/js/echo.js'));
        self::assertSame('<?php return [];', $this->read('config/snug.php'));
        self::assertStringContainsString('Kept: resources/js/echo.js', $output);
        $this->artisan('snug:install', ['--force' => true]);
        self::assertStringContainsString('SnugConnector', $this->read('resources/js/echo.js'));
        self::assertStringContainsString('SNUG_URL', $this->read('config/snug.php'));
    }

    public function testInstallReportsWhatDoesNotWork(): void
    {
        $this->bootCopy();
        [$code, $output] = $this->artisan('snug:install', ['--url' => 'http://127.0.0.1:1']);
        self::assertSame(1, $code);
        self::assertStringContainsString('✗ http://127.0.0.1:1 cannot be reached', $output);
        self::assertStringContainsString('Run `php artisan snug:check` again', $output);
    }

    /** @dataProvider secrets */
    public function testSecretsAreReadFromTheFileAsTheyWereGiven(string $secret): void
    {
        $this->bootCopy();
        $this->artisan('snug:install', ['--secret' => $secret]);
        self::assertSame($secret, \Dotenv\Dotenv::parse($this->read('.env'))['SNUG_JWT_SECRET']);
    }

    public static function secrets(): iterable
    {
        yield 'base64url' => ['base64url:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY='];
        yield 'with spaces, # and $' => ['a secret # with ${HOME} and $HOME in it, and "quotes"'];
        yield 'with an apostrophe' => ['it\'s a \\secret # with ${HOME} and "quotes" in it'];
    }
}
